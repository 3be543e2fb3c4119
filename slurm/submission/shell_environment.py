"""The environment that jobs are started with: without what the user's shell, or an outer job, set for Slurm."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from slurm.cluster.which_cluster import VARIABLE

# The user's shell must not change what is asked for: SBATCH_* outrank the script's own lines.
FOREIGN_PREFIXES = ("SBATCH_", "SLURM_", "SUBMITIT_", "KD_JOB_")
FOREIGN = ("TMPDIR",)
KEPT = ("SLURM_CONF", VARIABLE)


@contextmanager
def clean_environment(extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """Hide from child processes what the user's shell (or an outer job) set for Slurm; restore it afterwards."""
    before = dict(os.environ)
    for name in before:
        if name not in KEPT and (name in FOREIGN or name.startswith(FOREIGN_PREFIXES)):
            del os.environ[name]
    os.environ.update(extra or {})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
