# Shared by up.sh, down.sh and env.sh (sourced, never run): where the testbed lives, and what of it is running.
#
#   KD_TESTBED             folder of the testbed's state; made and wiped by up.sh   (default ~/.cache/kd-testbed)
#   KD_TESTBED_PORT        first of the six ports it listens on, 127.0.0.1 only     (default 16800)
#   KD_TESTBED_VARIANT     names of folders of variants/, with commas between them  (default none)
#   KD_TESTBED_EXTRA       a file of lines to append to slurm.conf; @STATE@ in it stands for the state folder
#   KD_TESTBED_JOINS       set by up.sh alone, for the second cluster: the first one's state folder
# shellcheck shell=bash disable=SC2034  # the scripts that source this file use the variables

readonly STATE=${KD_TESTBED:-$HOME/.cache/kd-testbed}
readonly PORT=${KD_TESTBED_PORT:-16800}
readonly VARIANT=${KD_TESTBED_VARIANT:-}
readonly EXTRA=${KD_TESTBED_EXTRA:-}
readonly JOINS=${KD_TESTBED_JOINS:-}
ACCOUNTING=1 && [[ ,$VARIANT, != *,noaccounting,* ]] || ACCOUNTING=0
readonly ACCOUNTING
CLUSTER=testbed JOINED=0
[[ -z $JOINS ]] || CLUSTER=other JOINED=1
readonly CLUSTER JOINED
readonly PORTS=6
readonly NODES=(gpu1 gpu2 gpu3 cpu1)
readonly MARKER=$STATE/.kd-testbed # only a folder that holds this file is ever emptied

export PATH="$PATH:/usr/sbin:/sbin" # where Debian puts the daemons; an ordinary user's PATH lacks it
umask 022
# What the caller has set for a real cluster must not reach this one.
unset "${!SLURM@}" "${!SBATCH_@}" "${!SALLOC_@}" "${!SINFO_@}" "${!SQUEUE_@}" "${!SACCT_@}"
export SLURM_CONF=$STATE/etc/slurm.conf # clients and daemons need nothing else; it also marks our processes

die() {
    echo "testbed: $*" >&2
    exit 1
}

# wait_until SECONDS COMMAND...: run COMMAND until it succeeds. Fails when the time is over, with COMMAND's last
# complaint in $why.
why=
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until why=$("$@" 2>&1 >/dev/null); do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# The path goes unquoted into configuration files, and Unix sockets below it may not exceed 107 characters; the longest
# is slurmstepd's, spool-gpu1/gpu1_JOB.STEP. Jobs would fail at their start, without a word to the user.
check_state_folder() {
    [[ $STATE =~ ^/[A-Za-z0-9._/-]+$ ]] || die "KD_TESTBED must be an absolute path without special characters: $STATE"
    ((${#STATE} <= 70)) || die "KD_TESTBED is too long for Unix sockets (over 70 characters): $STATE"
    [[ -e $MARKER || -z $(ls -A "$STATE" 2>/dev/null) ]] ||
        die "$STATE holds files that are not a testbed's; name another folder in KD_TESTBED"
}

# One up or down at a time per state folder. The lock is held by `flock` itself and closed in this script
# (--close), or the daemons would inherit it and hold it for as long as they live.
under_lock() {
    if [[ ${KD_TESTBED_LOCKED:-} == "$STATE" ]]; then
        unset KD_TESTBED_LOCKED
        return
    fi
    mkdir -p "$(dirname "$STATE")"
    KD_TESTBED_LOCKED=$STATE exec flock --close "$STATE.lock" "$(readlink -f "$0")"
}

# our_processes NAME...: ids of this testbed's processes that have one of these names. They are known by the
# SLURM_CONF they were started with, so a stale pid file does no harm and no other Slurm's process is ever meant.
# A zombie's environment reads as empty: it counts as gone, also where nothing reaps it.
our_processes() {
    local folder name
    for folder in $(our_folders); do
        { read -r name <"$folder/comm"; } 2>/dev/null || continue # it has just ended
        [[ " $* " != *" $name "* ]] || echo "${folder#/proc/}"
    done
}

# The folders in /proc of all processes with our SLURM_CONF, a person's shells included.
our_folders() { grep -lzxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null | sed 's|/environ$||'; }

running() { [[ -n $(our_processes "$@") ]]; }

node_running() {
    local pid
    pid=$(cat "$STATE/slurmd-$1.pid" 2>/dev/null) && grep -qx "$pid" <<<"$(our_processes slurmd)"
}
