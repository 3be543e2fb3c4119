#!/bin/bash
# Print the lines that point this shell's Slurm commands at the testbed:  eval "$(cluster_env/testbed/env.sh)"
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/common.sh"

running slurmctld || die "not running in $STATE; start it with: make testbed"
echo "export SLURM_CONF=$SLURM_CONF"
[[ ! -d $STATE/bin ]] || echo "export PATH=$STATE/bin:\$PATH" # the variant's sbatch
