"""``${VAR}`` in paths (a data set's root, a file of pretrained weights), where alone a job file reads the environment.

There is no expression language.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from kd.jobfile.schema import CacheStage, Component, Data, Job, Stage, TrainStage
from kd.jobfile.source import Address

_MEANING = {"root": "folder of your data sets", "pretrained": "folder of your weights"}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_roots(job: Job) -> tuple[Job, list[tuple[Address, str]]]:
    """Return the job with absolute paths, and the faults of those that cannot be expanded."""
    faults: list[tuple[Address, str]] = []

    def absolute(text: str, place: Address) -> str:
        path, fault = _expanded(text, str(place[-1]))
        if fault:
            faults.append((place, fault))
        return path or text

    def data(given: Data, place: Address) -> Data:
        return given.model_copy(update={"root": absolute(given.root, (*place, "root"))}) if given.root else given

    def model(given: Component, place: Address) -> Component:
        file = given.arguments.get("pretrained")
        if not isinstance(file, str):
            return given
        return given.model_copy(update={"pretrained": absolute(file, (*place, "pretrained"))})

    def stage(given: Stage, place: Address) -> Stage:
        update: dict[str, Data | Component] = {}
        if isinstance(given, (TrainStage, CacheStage)) and given.data:
            update["data"] = data(given.data, (*place, "data"))
        if isinstance(given, TrainStage):
            update["model"] = model(given.model, (*place, "model"))
        return given.model_copy(update=update)

    stages = {name: stage(given, ("stages", name)) for name, given in job.stages.items()}
    return job.model_copy(update={"data": data(job.data, ("data",)), "stages": stages}), faults


def _expanded(root: str, key: str) -> tuple[str | None, str | None]:
    """Return the absolute path that a text means, or what is wrong with it."""
    for variable in _VARIABLE.findall(root):
        if not os.environ.get(variable):
            return None, f"the environment variable {variable} is not set: export {variable}=<{_MEANING[key]}>"
    if "$" in _VARIABLE.sub("", root):
        return None, f"{key}: expected variables as ${{NAME}}, got {root!r}"
    path = _VARIABLE.sub(lambda match: os.environ[match[1]], root)
    return str(Path(os.path.expanduser(path)).absolute()), None
