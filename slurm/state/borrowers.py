"""Which other runs wait for a job of this one: they took it over, and have a link to its stage folder."""

from __future__ import annotations

import os
from collections.abc import Collection

from kd.rundir.folders import JobKey, RunFolder, runs_in


def borrowers(run: RunFolder, keys: Collection[JobKey]) -> dict[str, list[JobKey]]:
    """Return the names of the runs beside this one that took over any of the jobs, with those jobs."""
    ours = {os.path.realpath(run.stage(key).path): key for key in keys}
    found: dict[str, list[JobKey]] = {}
    for other in runs_in(run.path.parent):
        links = (path for path in other.path.glob("stages/*/*") if path.is_symlink())
        taken = [key for path in links if (key := ours.get(os.path.realpath(path))) is not None]
        if taken and other.path != run.path:
            found[other.name] = sorted(taken, key=str)
    return found
