"""Run one stage folder: read spec.json, run the module of its kind, write result.json last.

Only the module of that kind is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import msgspec

from kd.errors import DataError, RunError
from kd.jobfile.data_content import ABSENT, file_changes, read_content
from kd.jobfile.fingerprint import users_code
from kd.rundir.counted_file import read_counted
from kd.rundir.folders import RunFolder, StageFolder
from kd.rundir.stage_result import StageResult, read_result, write_result
from kd.rundir.stage_spec import AnySpec, Component, SearchSettings, read_spec
from kd.stages.context import StageContext
from kd.user_code.frozen import read_frozen
from kd.user_code.names import allow
from kd.user_code.sources import NotReadable, bind


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
    """Run the module of the kind of ``spec`` and return the result; None in the further processes of a stage.

    The user's own code is that which was frozen with the run. Raises RunError when it, or an installed package, is no
    longer what the stage was planned with.
    """
    use_code_of(context.folder.run)
    _require_planned_code(context.folder.run, spec)
    for name in _names_of(context, spec):
        allow(name)
    result: StageResult | None = stage_module(spec.kind).run(context, spec)
    return result


def use_code_of(run: RunFolder) -> None:
    """Let the names of the user's own code mean what was frozen with a run. Raises RunError when that is damaged."""
    try:
        bind(read_frozen(run.own_code))
    except NotReadable as reason:
        raise RunError(str(reason)) from None


def _require_planned_code(run: RunFolder, spec: AnySpec) -> None:
    """Raise RunError when the user's own code is not what the stage was planned with."""
    settings, data = (msgspec.to_builtins(part) for part in (spec.settings, spec.data))
    planned = read_counted(run).stages.get(spec.stage, {})
    for words, digest in users_code(settings, data).items():
        if planned.get(words, digest) != digest:
            raise RunError(f"{words} has changed since kd-submit planned this run; submit it anew (--again)")


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


def _names_of(context: StageContext, spec: AnySpec) -> Iterator[str]:
    """Yield what a stage names, and the stage a search is for, and the models and data sets of its parents.

    It may be the user's own code, which is imported in jobs alone, and only by these names.
    """
    settings = spec.settings.training if isinstance(spec.settings, SearchSettings) else spec.settings
    augment = getattr(settings, "augment", None)
    results = filter(None, (read_result(StageFolder(folder)) for folder in context.parents.values()))
    components = [getattr(settings, "model", None), augment and augment.own, *(result.model for result in results)]
    yield from (each.name for each in components if isinstance(each, Component))
    yield from (term.loss_name(name) for name, term in getattr(settings, "loss", {}).items())
    if spec.data is not None:
        yield spec.data.name
