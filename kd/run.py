"""Run one stage folder: read spec.json, do what its kind says, write result.json last.

Only the module of that kind is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from kd.errors import RunError, did_you_mean
from kd.files import write_json
from kd.rundir.folders import StageFolder, read_object
from kd.rundir.stage_spec import SETTINGS
from kd.stages.context import StageContext
from kd.user_code import allow


def stage_module(kind: str) -> ModuleType:
    """Return the module of ``kd.stages`` with the kind's name; its ``run(context, spec)`` returns result.json."""
    return import_module(f"kd.stages.{kind}")


def run_stage(context: StageContext) -> dict[str, Any]:
    """Run the stage in ``context.folder`` and return what its result.json holds.

    Raises RunError when spec.json is missing or of no known kind, Interrupted when the stage was asked to
    stop, and UserError for whatever a person can mend.
    """
    spec = read_object(context.folder.spec)
    if spec is None:
        raise RunError(f"{context.folder.spec}: missing or damaged; submit the run again")
    kind = spec["kind"]
    if kind not in SETTINGS:
        raise RunError(f"{context.folder.spec}: no stage kind '{kind}'{did_you_mean(kind, list(SETTINGS))}")
    for name in _models_named(context, spec):
        allow(name)
    result: dict[str, Any] = stage_module(kind).run(context, spec)
    write_json(context.folder.result, result)
    for leftover in context.folder.checkpoint.glob("resume*.pt"):  # done: nothing will resume, and they are big
        leftover.unlink(missing_ok=True)
    return result


def _models_named(context: StageContext, spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the models of a stage, of the stage a search is for, and of its parents.

    Those may be of the user's own code, which is imported in jobs alone, and only by these names.
    """
    settings = spec["settings"]
    parents = (read_object(StageFolder(folder).result) or {} for folder in context.parents.values())
    for holder in (settings, settings.get("training", {}), *parents):
        model = holder.get("model")
        if isinstance(model, Mapping) and "name" in model:
            yield str(model["name"])
