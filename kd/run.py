"""Run one stage folder: read spec.json, run the module of its kind, write result.json last.

Only the module of that kind is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from kd.errors import DataError
from kd.jobfile.data_content import ABSENT, file_changes, read_content
from kd.rundir.counted_file import read_counted
from kd.rundir.folders import RunFolder, StageFolder
from kd.rundir.stage_result import StageResult, read_result, write_result
from kd.rundir.stage_spec import AnySpec, Component, SearchSettings, read_spec
from kd.stages.context import StageContext
from kd.user_code import allow


def stage_module(kind: str) -> ModuleType:
    """Return the module of ``kd.stages`` with the kind's name; its ``run(context, spec)`` returns the result."""
    return import_module(f"kd.stages.{kind}")


def run_stage(context: StageContext) -> StageResult:
    """Run the stage in ``context.folder`` and return its result, which is written.

    Raises RunError when spec.json is missing or of no known kind, DataError when the data are not those that the
    stage was planned with, Interrupted when the stage was asked to stop, and UserError for whatever a person can mend.
    """
    spec = read_spec(context.folder)
    _require_planned_data(context.folder.run, spec)
    result = run_kind(context, spec)
    assert result is not None, "the first process of a stage has a result"
    write_result(context.folder, result)
    for leftover in context.folder.checkpoint.glob("resume*.pt"):  # done: nothing will resume, and they are big
        leftover.unlink(missing_ok=True)
    return result


def run_kind(context: StageContext, spec: AnySpec) -> StageResult | None:
    """Run the module of the kind of ``spec`` and return the result; None in the further processes of a stage."""
    for name in _models_named(context, spec):
        allow(name)
    result: StageResult | None = stage_module(spec.kind).run(context, spec)
    return result


def _require_planned_data(run: RunFolder, spec: AnySpec) -> None:
    """Raise DataError when what lies at the data's root is not what the stage was planned with.

    Its result would stand under the fingerprint of other data.
    """
    if spec.data is None or spec.data.root is None:
        return
    root, counted = spec.data.root, read_counted(run)
    planned = counted.content_of(spec.stage, root)
    if planned is None or not os.path.exists(root):  # a missing root is named by whoever reads it
        return
    now = read_content(root, run.path.parent)
    if now.identity == planned or planned.startswith(ABSENT):
        return
    both = root in counted.folders and now.files
    changes = file_changes(root, counted.folders[root], now.files) if both else f"the content of {root} has changed"
    raise DataError(f"{changes} since kd-submit planned this run; submit it anew (--again, or another --run name)")


def _models_named(context: StageContext, spec: AnySpec) -> Iterator[str]:
    """Yield the names of the models of a stage, of the stage a search is for, and of its parents.

    Those may be of the user's own code, which is imported in jobs alone, and only by these names.
    """
    settings = spec.settings.training if isinstance(spec.settings, SearchSettings) else spec.settings
    results = filter(None, (read_result(StageFolder(folder)) for folder in context.parents.values()))
    models = [getattr(settings, "model", None), *(result.model for result in results)]
    yield from (model.name for model in models if isinstance(model, Component))
