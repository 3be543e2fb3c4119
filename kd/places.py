"""Where the files that ship with kd lie: job files and cluster profiles, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

from kd.errors import SpecError, did_you_mean


def shipped(folder: str) -> Path:
    """Return a folder that ships with kd (``jobs``, ``cluster_env``).

    It lies beside the packages in a checkout; an installed wheel puts it under the environment, or for
    ``pip install --user`` under the user's own prefix.
    """
    installed = Path("share") / "kd" / folder
    candidates = [Path(__file__).resolve().parent.parent / folder, Path(sys.prefix) / installed]
    found = next((candidate for candidate in candidates if candidate.is_dir()), None)
    return found or Path(site.getuserbase()) / installed


def find_job_file(name: str) -> Path:
    """Return the job file a person named: a path, or a shipped one as ``jobs/x.yaml``, ``x.yaml`` or ``x``.

    Raises SpecError when there is none.
    """
    path = Path(name)
    if os.path.isfile(name):  # False, not an error, for names that cannot be
        return path
    jobs = shipped("jobs")
    candidate = jobs / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.parent in (Path("."), Path("jobs")) and os.path.isfile(candidate):
        return candidate
    if os.path.isdir(name):
        raise SpecError([f"{name}: a folder, not a job file"])
    known = [file.stem for file in jobs.glob("*.yaml")]
    raise SpecError([f"{name}: no such job file{did_you_mean(path.stem, known)}"])
