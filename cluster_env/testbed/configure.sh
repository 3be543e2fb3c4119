# The configuration half of up.sh (sourced): a fresh state folder with the templates of site/ filled in.
# shellcheck shell=bash disable=SC2153  # PORT and its like come from common.sh

templates=$(dirname "${BASH_SOURCE[0]}")/site
variants=$(dirname "${BASH_SOURCE[0]}")/variants
IFS=, read -ra chosen <<<"$VARIANT"
readonly APPENDED=(slurm.conf accounts second.conf) # a variant's file of another name replaces the site's

# What the running testbed was started with; the marker file keeps it, so that a later up.sh can tell.
settings() {
    local extra
    extra=$(cat /dev/null ${EXTRA:+"$EXTRA"} | cksum | cut -d' ' -f1)
    echo "port $PORT, variant ${VARIANT:-none}, extra lines $extra"
}

# of_variants FILE: this file of every chosen variant that has it.
of_variants() {
    local variant
    for variant in "${chosen[@]}"; do
        [[ ! -e $variants/$variant/$1 ]] || echo "$variants/$variant/$1"
    done
}

# site_file FILE: the variants' file of that name if there is one, else the site's own.
site_file() {
    local file
    file=$(of_variants "$1")
    echo "${file:-$templates/$1}"
}

check_variants() {
    local variant file
    for variant in "${chosen[@]}"; do
        [[ -d $variants/$variant ]] ||
            die "no variant '$variant'; there are: $(cd "$variants" && printf '%s ' *)"
        for file in $(cd "$variants/$variant" && find . -type f -printf '%P '); do
            [[ " ${APPENDED[*]} " == *" $file "* || $(of_variants "$file" | wc -l) == 1 ]] ||
                die "two of the variants $VARIANT bring a $file; choose one of them"
        done
    done
    ((ACCOUNTING)) || [[ -z $(of_variants accounts)$(of_variants second.conf) ]] ||
        die "the variants $VARIANT need the database that noaccounting leaves out"
}

check_settings() {
    [[ $(cat "$MARKER") == "$(settings)" ]] ||
        die "already running with other settings ($(cat "$MARKER")); run down.sh first"
}

check_ports() {
    local port
    for port in $(seq "$PORT" $((PORT + PORTS - 1))); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
            die "port $port is in use by another program; set KD_TESTBED_PORT to the first of six free ports"
    done
}

# fill TEMPLATE...: the templates' text with every @NAME@ replaced.
fill() {
    sed -e "s|@STATE@|$STATE|g" -e "s|@USER@|$(id -un)|g" \
        -e "s|@PYTHON@|$python|g" -e "s|@FIRST_JOB_ID@|$first_job_id|g" \
        -e "s|@CLUSTER@|$CLUSTER|g" -e "s|@MUNGE@|${JOINS:-$STATE}/munge/socket|g" \
        -e "s|@CONTROLLER_PORT@|$PORT|g" -e "s|@DATABASE_PORT@|$((PORT + 1 - (JOINED * PORTS)))|g" \
        -e "s|@GPU1_PORT@|$((PORT + 2))|g" -e "s|@GPU2_PORT@|$((PORT + 3))|g" \
        -e "s|@GPU3_PORT@|$((PORT + 4))|g" -e "s|@CPU1_PORT@|$((PORT + 5))|g" "$@"
}

# What slurm.conf is made of, in this order.
parts_of_slurm_conf() {
    echo "$templates/slurm.conf"
    site_file nodes.conf
    site_file accounting.conf
    of_variants slurm.conf
    [[ -z $JOINS ]] || of_variants second.conf
    [[ -z $EXTRA ]] || echo "$EXTRA"
}

# Of a key that is given twice only the last line stays: Slurm would take that too, but complain.
last_values() { tac | awk -F= '/^(#|$|NodeName|PartitionName)/ || !seen[$1]++' | tac; }

write_configuration() {
    local python first_job_id file parts
    python=$(python3 -c 'import sys; print(sys.base_prefix)') # behind any virtual environment
    first_job_id=$((1000000 + $(date +%s) % 9000000 + JOINED * 20000000))
    readarray -t parts < <(parts_of_slurm_conf)
    fill "${parts[@]}" | last_values >"$SLURM_CONF"
    fill "$templates/accounts" >"$STATE/etc/accounts"
    readarray -t parts < <(of_variants accounts)
    fill /dev/null "${parts[@]}" >"$STATE/etc/variant-accounts"
    (umask 077 && fill "$templates/slurmdbd.conf" >"$STATE/etc/slurmdbd.conf") # it refuses one that others can read
    for file in gres.conf cgroup.conf prolog.sh taskprolog.sh epilog.sh; do
        fill "$(site_file "$file")" >"$STATE/etc/$file"
    done
    for file in $(of_variants job_submit.lua); do fill "$file" >"$STATE/etc/job_submit.lua"; done
    for file in $(of_variants bin/sbatch); do mkdir "$STATE/bin" && cp "$file" "$STATE/bin/"; done
    chmod 755 "$STATE"/etc/*.sh
    for file in Python/3.11.3-GCCcore-12.3.0.lua CUDA/12.1.1.lua; do
        fill "$templates/modules/$file" >"$STATE/modules/$file"
    done
}

begin_afresh() {
    local index
    check_ports
    rm -rf "$STATE"
    mkdir -p "$STATE"/{etc,log,controller,munge,dev,db/data,db/tmp,scratch,modules/Python,modules/CUDA}
    settings >"$MARKER"
    chmod 700 "$STATE/db" # the database asks for no password
    chmod 1777 "$STATE/scratch"
    for index in 0 1 2 3; do ln -s /dev/null "$STATE/dev/nvidia$index"; done
    write_configuration
    "$STATE/etc/epilog.sh" </dev/null >/dev/null 2>&1 || die "programs cannot run from $STATE (mounted noexec?)"
}
