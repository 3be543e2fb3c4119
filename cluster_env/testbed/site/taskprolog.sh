#!/bin/bash
# TaskProlog: runs as the job's user before the batch script and every task, and prints changes to its environment.
echo "export TMPDIR=@STATE@/scratch/$SLURMD_NODENAME/$SLURM_JOB_ID"
# `module` in batch scripts, as sites with Lmod have it: bash reads BASH_ENV before a script.
lmod=/usr/share/lmod/lmod/init/bash
if [ -r "$lmod" ]; then
    echo "export BASH_ENV=$lmod"
    echo "export MODULEPATH=@STATE@/modules"
fi
