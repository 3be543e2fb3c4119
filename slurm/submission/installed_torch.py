"""What the jobs' torch was built for, read from its files: kd-submit never loads torch."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from slurm.cluster.profile import Profile


def without_cuda(profile: Profile) -> str | None:
    """Return a line when the jobs' torch has no CUDA, so that no GPU job could start; None when it has, or unknown."""
    if not profile.require_gpus or profile.container:  # of an image nothing is known
        return None
    file = _version_file(profile)
    if file is None:
        return None
    built = dict(re.findall(r"^(__version__|cuda|hip)\b[^=\n]*= *'?([^'\n]*)'?$", file.read_text(), flags=re.MULTILINE))
    if {built.get("cuda", "None"), built.get("hip", "None")} != {"None"}:
        return None
    where = profile.venv or sys.prefix
    return f"the torch of {where} ({built.get('__version__', '?')}) is built without CUDA: jobs on GPUs will fail"


def _version_file(profile: Profile) -> Path | None:
    """Return torch's version.py in the environment that jobs activate, or else in this one."""
    if profile.venv:
        found = sorted(Path(os.path.expandvars(profile.venv)).glob("lib/python3*/site-packages/torch/version.py"))
        return found[-1] if found else None
    here = find_spec("torch")
    file = Path(here.origin).with_name("version.py") if here and here.origin else None
    return file if file is not None and file.is_file() else None
