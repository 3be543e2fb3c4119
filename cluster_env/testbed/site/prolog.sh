#!/bin/bash
# Prolog: slurmd runs it before a job's first task on a node. It makes the job's TMPDIR. A failure drains the node.
# The nodes share one disk, hence a folder per node. That folder is open to all (1777) on purpose: Slurm 22.05
# may skip the prolog when a requeued job restarts on the same node, and then slurmstepd has to make the TMPDIR, as
# the job's user.
set -eu
node=@STATE@/scratch/$SLURMD_NODENAME
mkdir -p "$node"
chmod 1777 "$node"
mkdir -p "$node/$SLURM_JOB_ID"
chmod 700 "$node/$SLURM_JOB_ID"
if [ "$(id -u)" = 0 ]; then chown "$SLURM_JOB_UID" "$node/$SLURM_JOB_ID"; fi
