#!/bin/bash
# Epilog: slurmd runs it after a job's last task on a node, also after a kill or requeue. A failure drains the
# node.
case $SLURM_JOB_ID in '' | *[!0-9]*) exit 0 ;; esac # never delete the whole folder for want of a number
rm -rf "@STATE@/scratch/$SLURMD_NODENAME/$SLURM_JOB_ID"
