"""``${VAR}`` in data roots, the only place where a job file reads the environment. There is no expression language."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kd.spec.schema import Data, Job, TrainStage
from kd.spec.source import Address

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_roots(job: Job) -> tuple[Job, list[tuple[Address, str]]]:
    """Return the job with absolute data roots, and the faults of roots that cannot be expanded."""
    faults: list[tuple[Address, str]] = []

    def expanded(data: Data, place: Address) -> Data:
        root, fault = _expanded(data.root)
        if fault:
            faults.append(((*place, "root"), fault))
        return data.model_copy(update={"root": root}) if root else data

    stages = {
        name: stage.model_copy(update={"data": expanded(stage.data, ("stages", name, "data"))})
        if isinstance(stage, TrainStage) and stage.data
        else stage
        for name, stage in job.stages.items()
    }
    return job.model_copy(update={"data": expanded(job.data, ("data",)), "stages": stages}), faults


def _expanded(root: str | None) -> tuple[str | None, str | None]:
    """Return the absolute path that a root means, or what is wrong with it."""
    if root is None:
        return None, None
    for variable in _VARIABLE.findall(root):
        if not os.environ.get(variable):
            return None, f"the environment variable {variable} is not set: export {variable}=<folder of your data sets>"
    if "$" in _VARIABLE.sub("", root):
        return None, f"root: expected variables as ${{NAME}}, got {root!r}"
    path = _VARIABLE.sub(lambda match: os.environ[match[1]], root)
    return str(Path(os.path.expanduser(path)).absolute()), None
