"""``${VAR}`` in paths (a data set's root, a file of pretrained weights), where alone a job file reads the environment.

There is no expression language.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from kd.jobfile.schema import Component, Data
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Pipeline, Stage

_MEANING = {
    "root": "folder of your data sets",
    "pretrained": "folder of your weights",
    "file": "folder of your weights",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_paths(pipeline: Pipeline, *, unset: set[str] | None = None) -> tuple[Pipeline, list[Fault]]:
    """Return the pipeline with absolute paths, and the faults of those that cannot be expanded.

    They are found by the types of a stage's parts, so that no kind of stage can leave one out. With ``unset`` (a
    preview reads no data) a path with a variable that is not set stays as written, and its name is added to it.
    """
    faults: list[Fault] = []

    def absolute(text: str, address: Address) -> str:
        missing = [name for name in _VARIABLE.findall(text) if not os.environ.get(name)]
        if missing and unset is not None:
            unset.update(missing)
            return text
        path, fault = _expanded(text, str(address[-1]))
        if fault:
            faults.append((address, fault))
        return path or text

    def part(given: Any, address: Address) -> Any:
        if isinstance(given, Data) and given.root:
            return given.model_copy(update={"root": absolute(given.root, (*address, "root"))})
        if isinstance(given, Component) and isinstance(file := given.arguments.get("pretrained"), str):
            return given.model_copy(update={"pretrained": absolute(file, (*address, "pretrained"))})
        if address[-1] == "file" and isinstance(given, str):
            path = absolute(given, address)
            if not faults and "$" not in path and not Path(path).is_file():
                faults.append((address, f"there is no file {path}"))
            return path
        return given

    def stage(given: Stage, address: Address) -> Stage:
        parts = {key: part(value, (*address, key)) for key, value in given}
        return given.model_copy(update={key: value for key, value in parts.items() if value is not getattr(given, key)})

    stages = {name: stage(given, ("stages", name)) for name, given in pipeline.stages.items()}
    return pipeline.model_copy(update={"data": part(pipeline.data, ("data",)), "stages": stages}), faults


def _expanded(root: str, key: str) -> tuple[str | None, str | None]:
    """Return the absolute path that a text means, or what is wrong with it."""
    for variable in _VARIABLE.findall(root):
        if not os.environ.get(variable):
            return None, f"the environment variable {variable} is not set: export {variable}=<{_MEANING[key]}>"
    if "$" in _VARIABLE.sub("", root):
        return None, f"{key}: expected variables as ${{NAME}}, got {root!r}"
    path = _VARIABLE.sub(lambda match: os.environ[match[1]], root)
    return str(Path(os.path.expanduser(path)).absolute()), None
