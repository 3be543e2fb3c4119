"""Run folders -> one report value, the content of report.json. Writes nothing, reads JSON only.

One key per pipeline family. Its first three entries are the numbers the report is asked for: mean test
accuracy over seeds, as fractions, of the weights chosen on validation; null while no seed has finished. The
rest is where they come from. A pipeline of several labels per image has three more: macro F1 scores, by which its
stages are then compared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd.errors import RunError
from kd.report.budget import preparation
from kd.report.cells import Cell, Run, read_run
from kd.report.comparisons import comparisons
from kd.report.deployment import deployments
from kd.report.drawn_stages import undrawn
from kd.report.expectations import judged
from kd.report.headline import headline, mean_of
from kd.report.job_record import ACCURACY, relative_folder
from kd.report.merge import merge_cells
from kd.report.remarks import remarks
from kd.report.report_value import Family, Report, RunRecord
from kd.report.searches import searches
from kd.report.side_by_side import with_differences
from kd.report.summary import summarise_stage, unique
from kd.rundir.bounded_json import read_object
from kd.rundir.result_sections import MissingJob

HEADLINE = (  # key of report.json, and the entry of the headline that names its stage
    ("teacher_accuracy", "teacher"),
    ("student_accuracy_without_kd", "baseline"),
    ("student_accuracy_with_kd", "distilled"),
)
UNMEASURED = ("cache", "search")  # kinds of stages that leave no model to measure
LONGEST_FACT = 200  # characters of a provenance entry that report.json repeats


def collect(paths: Sequence[Path], base: Path, *, side_by_side: bool = False) -> Report:
    """Read run folders into one report. Folders are written relative to ``base``, where report.json will lie.

    The runs of one pipeline become one family; ``side_by_side`` makes each run a family of its own, under its name.
    Raises RunError when a folder is no run, when two runs of one pipeline contradict each other, or when two runs that
    are to stand side by side have one name.
    """
    base = base.resolve()
    runs = [read_run(path) for path in dict.fromkeys(path.resolve() for path in paths)]
    if side_by_side:
        return with_differences({name: _family([run], base) for name, run in _by_name(runs).items()})
    families: dict[str, list[Run]] = {}
    for run in runs:
        families.setdefault(run.plan.pipeline, []).append(run)
    return {pipeline: _family(together, base) for pipeline, together in families.items()}


def _by_name(runs: Sequence[Run]) -> dict[str, Run]:
    named: dict[str, Run] = {}
    for run in runs:
        if other := named.get(run.folder.name):
            both = f"{other.folder.path} and {run.folder.path}"
            raise RunError(f"two runs are called '{run.folder.name}': {both}; rename the folder of one")
        named[run.folder.name] = run
    return named


def is_complete(report: Report) -> bool:
    """Return whether every planned job of every pipeline has a verified result."""
    return not any(family.missing for family in report.values())


def _family(runs: Sequence[Run], base: Path) -> Family:
    cells = merge_cells([cell for run in runs for cell in run.cells])
    names = unique([cell.key.stage for cell in cells if cell.kind not in UNMEASURED])
    stages = {
        name: summarise_stage([cell for cell in cells if cell.key.stage == name], base, preparation(name, cells))
        for name in names
    }
    metric = next((stage.metric for stage in stages.values() if stage.n), ACCURACY)
    chosen = headline(stages, unique([run.plan.headline for run in runs]))
    numbers = {
        headline_key(key, each): mean_of(stages, getattr(chosen, entry), each)
        for each in dict.fromkeys((ACCURACY, metric))
        for key, entry in HEADLINE
    }
    return Family(
        **numbers,
        metric=metric,
        seeds=unique([cell.key.seed for cell in cells]),
        stages=stages,
        searches=searches(cells, base),
        comparisons=comparisons(stages, _asked(runs)),
        missing=[_missing(cell, base) for cell in cells if not cell.done],
        runs=[_provenance(run, base) for run in runs],
        headline=chosen,
        expectations=judged(stages, {name: target for run in runs for name, target in run.plan.expect.items()}),
        deployment=deployments(stages),
        undrawn=undrawn(cells, base),
        remarks=remarks(stages),
        differs=[],
    )


def headline_key(key: str, metric: str) -> str:
    """Return the headline's key for the metric by which a pipeline's stages are compared."""
    return key.replace(ACCURACY, metric)


def _asked(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the pairs of stages that the job files asked to compare."""
    asked = [run.plan.comparisons for run in runs]
    return list(dict.fromkeys((name, other) for each in asked for name in each for other in each[name]))


def _missing(cell: Cell, base: Path) -> MissingJob:
    return MissingJob(
        stage=cell.key.stage,
        seed=cell.key.seed,
        state=cell.state,
        reason=cell.reason,
        run=cell.run.name,
        folder=relative_folder(cell, base),
    )


def _provenance(run: Run, base: Path) -> RunRecord:
    records = (run.folder.job_file, run.folder.plan, run.folder.provenance, run.folder.journal)
    return RunRecord(
        run=run.folder.name,
        folder=Path(os.path.relpath(run.folder.path, base)).as_posix(),
        about=run.plan.about,
        files=[file.name for file in records if file.is_file()],
        provenance={**_short(read_object(run.folder.provenance) or {}), **_taken_over(run)},
    )


def _taken_over(run: Run) -> dict[str, dict[str, str]]:
    """Return which of a run's jobs other runs did, and whose those are."""
    found = {str(cell.key): f"run {cell.lender}" for cell in run.cells if cell.lender}
    return {"taken_over": found} if found else {}


def _short(value: Any) -> Any:
    """Return provenance with its long texts (an uncommitted diff) only counted: they stay in the run folder."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, str) and len(value) > LONGEST_FACT:
        return f"{len(value)} characters, in provenance.json"
    return value
