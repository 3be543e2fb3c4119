"""Run one stage folder: read spec.json, do what its kind says, write result.json last.

Only the module of that kind is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kd.errors import RunError, did_you_mean
from kd.files import write_json
from kd.rundir.folders import read_object
from kd.stages.context import StageContext

# stage kind -> the module whose ``run(context, spec)`` returns the contents of result.json
STAGES: Mapping[str, str] = {
    "train": "kd.stages.train",
    "distill": "kd.stages.distill",
    "cache": "kd.stages.cache",
    "select": "kd.stages.select",
    "export": "kd.stages.export",
    "search": "kd.stages.search",
    "report": "kd.stages.report",
}


def run_stage(context: StageContext) -> dict[str, Any]:
    """Run the stage in ``context.folder`` and return what its result.json holds.

    Raises RunError when spec.json is missing or of no known kind, Interrupted when the stage was asked to
    stop, and UserError for whatever a person can mend.
    """
    spec = read_object(context.folder.spec)
    if spec is None:
        raise RunError(f"{context.folder.spec}: missing or damaged; submit the run again")
    kind = spec["kind"]
    if kind not in STAGES:
        raise RunError(f"{context.folder.spec}: no stage kind '{kind}'{did_you_mean(kind, list(STAGES))}")
    result: dict[str, Any] = import_module(STAGES[kind]).run(context, spec)
    write_json(context.folder.result, result)
    for leftover in context.folder.checkpoint.glob("resume*.pt"):  # done: nothing will resume, and they are big
        leftover.unlink(missing_ok=True)
    return result
