# The configuration half of up.sh (sourced): a fresh state folder with the templates of site/ filled in.
# shellcheck shell=bash disable=SC2153  # PORT and its like come from common.sh

templates=$(dirname "${BASH_SOURCE[0]}")/site

# What the running testbed was started with; the marker file keeps it, so that a later up.sh can tell.
settings() {
    local extra
    extra=$(cat /dev/null ${EXTRA:+"$EXTRA"} | cksum | cut -d' ' -f1)
    echo "port $PORT, accounting $ACCOUNTING, extra lines $extra"
}

check_settings() {
    [[ $(cat "$MARKER") == "$(settings)" ]] ||
        die "already running with other settings ($(cat "$MARKER")); run down.sh first"
}

check_ports() {
    local port
    for port in $(seq "$PORT" $((PORT + 5))); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
            die "port $port is in use by another program; set KD_TESTBED_PORT to the first of six free ports"
    done
}

# fill TEMPLATE...: the templates' text with every @NAME@ replaced.
fill() {
    sed -e "s|@STATE@|$STATE|g" -e "s|@USER@|$(id -un)|g" \
        -e "s|@PYTHON@|$python|g" -e "s|@FIRST_JOB_ID@|$first_job_id|g" \
        -e "s|@CONTROLLER_PORT@|$PORT|g" -e "s|@DATABASE_PORT@|$((PORT + 1))|g" \
        -e "s|@GPU1_PORT@|$((PORT + 2))|g" -e "s|@GPU2_PORT@|$((PORT + 3))|g" \
        -e "s|@GPU3_PORT@|$((PORT + 4))|g" -e "s|@CPU1_PORT@|$((PORT + 5))|g" "$@"
}

write_configuration() {
    local python first_job_id file storage=$templates/accounting.conf
    python=$(python3 -c 'import sys; print(sys.base_prefix)') # behind any virtual environment
    first_job_id=$((1000000 + $(date +%s) % 9000000))
    ((ACCOUNTING)) || storage=/dev/null
    fill "$templates/slurm.conf" "$storage" ${EXTRA:+"$EXTRA"} >"$SLURM_CONF"
    (umask 077 && fill "$templates/slurmdbd.conf" >"$STATE/etc/slurmdbd.conf") # it refuses one that others can read
    for file in gres.conf cgroup.conf prolog.sh taskprolog.sh epilog.sh; do
        fill "$templates/$file" >"$STATE/etc/$file"
    done
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
