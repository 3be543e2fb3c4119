#!/bin/bash
# Stop the testbed and everything that runs in it, jobs included, and delete its state except for logs and
# configuration. Does nothing when it is not running. Settings: common.sh.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
source "$here/common.sh"
source "$here/stop.sh"

check_state_folder
[[ -e $MARKER ]] || exit 0
under_lock
stop_everything || die "some processes would not end; those that have SLURM_CONF=$SLURM_CONF in their environment"
find "$STATE" -mindepth 1 -maxdepth 1 ! -name etc ! -name log ! -name "$(basename "$MARKER")" -exec rm -rf {} +
