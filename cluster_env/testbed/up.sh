#!/bin/bash
# Start the testbed: a private Slurm with accounting and four pretend nodes on this machine, as any user.
# Starts what is not running; when nothing is, begins afresh. Ends by printing the line that points clients at it.
# Settings: common.sh. How the cluster looks: site/. What to try: README.md.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
source "$here/common.sh"
source "$here/configure.sh"
source "$here/accounting.sh"
source "$here/stop.sh"

check_daemons() {
    local program needed=(munged slurmctld slurmd sinfo flock python3)
    ((ACCOUNTING == 0)) || needed+=(slurmdbd mariadbd sacctmgr)
    for program in "${needed[@]}"; do
        command -v "$program" >/dev/null || die "$program is not installed; run as root, once: make testbed"
    done
}

start_munge() {
    [[ -z $JOINS ]] || return 0
    ! running munged || return 0
    local folder=$STATE/munge
    [[ -s $folder/key ]] || (umask 077 && head -c 128 /dev/urandom >"$folder/key")
    munged --force --num-threads=4 --key-file="$folder/key" --socket="$folder/socket" --seed-file="$folder/seed" \
        --pid-file="$folder/munged.pid" --log-file="$STATE/log/munged.log" 2>"$STATE/log/munged-start.log" ||
        die "munged did not start; see $STATE/log/munged-start.log"
    wait_until 30 test -S "$folder/socket" || die "munged has no socket; see $STATE/log/munged.log"
}

# No `| grep -q` here: it may end before its writer, which pipefail then reports as a failure.
controller_answers() { [[ $(timeout 10 scontrol ping) == *" is UP"* ]]; }

start_controller() {
    running slurmctld || slurmctld || die "slurmctld did not start; see $STATE/log/slurmctld.log"
    wait_until 60 controller_answers ||
        die "slurmctld does not answer (${why%%$'\n'*}); see $STATE/log/slurmctld.log"
}

# A node that is unknown, or marked with *, has not reported yet. One that is busy, drained or down by hand has.
nodes_reported() {
    local states
    states=$(timeout 10 sinfo --noheader --Node --format=%T) && ! grep -qE 'unk|\*' <<<"$states"
}

start_nodes() {
    local node
    for node in "${NODES[@]}"; do
        node_running "$node" || slurmd -N "$node" ||
            die "slurmd of $node did not start; see $STATE/log/slurmd-$node.log"
    done
    wait_until 90 nodes_reported || die "not all nodes reported within 90 s; see sinfo and $STATE/log/slurmd-*.log"
}

# The second cluster is a testbed of its own inside the first one's folder, with its munge and its database.
start_second_cluster() {
    [[ -z $JOINS && -n $(of_variants second.conf) ]] || return 0
    KD_TESTBED=$STATE/second KD_TESTBED_PORT=$((PORT + PORTS)) KD_TESTBED_JOINS=$STATE "$here/up.sh" >/dev/null
    wait_until 30 timeout 10 sinfo -M testbed,other || die "the clusters do not see each other (${why%%$'\n'*})"
}

# A start that fails half-way leaves nothing running (the logs stay). A failed repair ends nothing.
stop_after_failure() {
    local status=$?
    ((status == 0)) || stop_everything || true
    exit "$status"
}

check_daemons
check_state_folder
check_variants
[[ -z $EXTRA || -r $EXTRA ]] || die "KD_TESTBED_EXTRA names no readable file: $EXTRA"
under_lock
if running slurmctld slurmd slurmdbd mariadbd munged; then
    check_settings
else
    trap stop_after_failure EXIT
    begin_afresh
fi
start_munge
((ACCOUNTING == 0)) || start_accounting
start_controller
add_accounts variant-accounts # after the controller, which teaches the database what a GPU is
start_nodes
start_second_cluster
"$here/env.sh"
