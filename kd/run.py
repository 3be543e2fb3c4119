"""Run one stage folder: read spec.json, run the module of its kind, write result.json last.

Only the module of that kind is imported.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from kd.rundir.stage_result import StageResult, write_result
from kd.rundir.stage_spec import AnySpec, read_spec
from kd.stages.context import StageContext


def stage_module(kind: str) -> ModuleType:
    """Return the module of ``kd.stages`` with the kind's name; its ``run(context, spec)`` returns the result."""
    return import_module(f"kd.stages.{kind}")


def run_stage(context: StageContext) -> StageResult:
    """Run the stage in ``context.folder`` and return its result, which is written.

    Raises RunError when spec.json is missing or of no known kind, Interrupted when the stage was asked to
    stop, and UserError for whatever a person can mend.
    """
    result = run_kind(context, read_spec(context.folder))
    assert result is not None, "the first process of a stage has a result"
    write_result(context.folder, result)
    for leftover in context.folder.checkpoint.glob("resume*.pt"):  # done: nothing will resume, and they are big
        leftover.unlink(missing_ok=True)
    return result


def run_kind(context: StageContext, spec: AnySpec) -> StageResult | None:
    """Run the module of the kind of ``spec`` and return the result; None in the further processes of a stage."""
    result: StageResult | None = stage_module(spec.kind).run(context, spec)
    return result
