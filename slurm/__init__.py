"""Launcher: turns a job file into dependency-linked jobs (Slurm, local processes or in process) and watches them."""
