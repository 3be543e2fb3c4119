# Ending the testbed's processes (sourced by down.sh, and by up.sh when a start fails).
# All are killed outright: what they could save is deleted anyway, and slurmctld alone takes 2 s to end in order.
# shellcheck shell=bash

# kill_daemons NAME...: kill those that are there; succeeds once none is.
kill_daemons() {
    local pids
    pids=$(our_processes "$@")
    [[ -n $pids ]] || return 0
    # shellcheck disable=SC2086  # one word per process
    kill -9 $pids || true
    return 1
}

# Processes of jobs, prologs and epilogs: they have this testbed's SLURM_CONF and the node name that slurmd gave
# them. A user's shell has the first too, under salloc even SLURM_JOB_ID, but never SLURMD_NODENAME.
job_processes() {
    local folder
    for folder in $(our_folders); do
        ! grep -qz '^SLURMD_NODENAME=' "$folder/environ" 2>/dev/null || echo "${folder#/proc/}"
    done
}

# Kill whole process groups, so that children which cleared their environment go too. Succeeds once none is left.
kill_jobs() {
    local pids pid status group
    pids=$(job_processes)
    for pid in $pids; do
        { read -r status <"/proc/$pid/stat"; } 2>/dev/null || continue # it has just ended
        read -r _ _ group _ <<<"${status##*) }"                        # "pid (name) state parent group ..."
        kill -9 "$pid" || true
        ((group <= 1)) || kill -9 -- "-$group" || true # -0 would be this script's own group, -1 everything
    done
    [[ -z $pids ]]
}

stop_second_cluster() {
    [[ ! -d $STATE/second ]] || KD_TESTBED=$STATE/second KD_TESTBED_JOINS=$STATE "$(dirname "${BASH_SOURCE[0]}")/down.sh"
}

# The controller and the nodes go first: from then on nothing starts a new job.
stop_everything() {
    stop_second_cluster &&
        wait_until 60 kill_daemons slurmctld slurmd &&
        wait_until 60 kill_daemons slurmstepd &&
        wait_until 60 kill_jobs &&
        wait_until 60 kill_daemons slurmdbd mariadbd munged
}
