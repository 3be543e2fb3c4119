"""Which of several clusters Slurm's commands speak to: one for all of them, named in SLURM_CLUSTERS.

sbatch, squeue, sinfo, scontrol and scancel obey the variable; sacct wants ``--clusters``. Job ids are a cluster's own:
asked elsewhere, an id is unknown or somebody else's job. Empty means the cluster of slurm.conf.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kd.errors import ClusterError

VARIABLE = "SLURM_CLUSTERS"
_OF_THE_SHELL = (VARIABLE, "SBATCH_CLUSTERS")


def shells_cluster() -> str:
    """Return the cluster that the user's shell names, or nothing. Raises ClusterError when it names several."""
    for variable in _OF_THE_SHELL:
        if name := os.environ.get(variable, "").strip():
            if "," in name or name == "all":
                raise ClusterError(f"{variable}={name}: a run belongs to one cluster; name one (or unset {variable})")
            return name
    return ""


def current_cluster() -> str:
    """Return the cluster that commands speak to now."""
    return os.environ.get(VARIABLE, "")


@contextmanager
def on_cluster(name: str) -> Iterator[None]:
    """Let every Slurm command within speak to this cluster."""
    before = os.environ.pop(VARIABLE, None)
    if name:
        os.environ[VARIABLE] = name
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before
