"""Run folders -> one report value, the content of report.json. Writes nothing, reads JSON only.

One key per pipeline family. Its first three entries are the numbers the report is asked for: mean test
accuracy over seeds, as fractions, of the weights chosen on validation; null while no seed has finished. The
rest says where they come from. A pipeline of several labels per image has three more: macro F1 scores, by which its
stages are then compared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from kd.report.budget import preparation
from kd.report.cells import Cell, Run, read_run
from kd.report.comparisons import comparisons
from kd.report.merge import merge_cells
from kd.report.searches import searches
from kd.report.statistics import finite
from kd.report.summary import ACCURACY, summarise, unique
from kd.rundir.folders import read_object

HEADLINE = (  # key of report.json, and the role whose first stage in the plan gives it
    ("teacher_accuracy", "teacher"),
    ("student_accuracy_without_kd", "baseline"),
    ("student_accuracy_with_kd", "distilled"),
)
UNMEASURED = ("cache", "search")  # kinds of stages that leave no model to measure
LONGEST_FACT = 200  # characters of a provenance entry that report.json repeats


def collect(paths: Sequence[Path], base: Path) -> dict[str, Any]:
    """Read run folders into one report. Folders are written relative to ``base``, where report.json will lie.

    Raises RunError when a folder is no run, or when two runs of one pipeline contradict each other.
    """
    base = base.resolve()
    families: dict[str, list[Run]] = {}
    for path in dict.fromkeys(path.resolve() for path in paths):
        run = read_run(path)
        families.setdefault(str(run.plan.get("pipeline", run.folder.name)), []).append(run)
    report = {pipeline: _family(runs, base) for pipeline, runs in families.items()}
    checked: dict[str, Any] = _without_nan(report)
    return checked


def is_complete(report: dict[str, Any]) -> bool:
    """Return whether every planned job of every pipeline has a verified result."""
    return not any(family["missing"] for family in report.values())


def _family(runs: Sequence[Run], base: Path) -> dict[str, Any]:
    cells = merge_cells([cell for run in runs for cell in run.cells])
    names = unique([cell.key.stage for cell in cells if cell.kind not in UNMEASURED])
    stages = {name: summarise([cell for cell in cells if cell.key.stage == name], base) for name in names}
    for name, stage in stages.items():
        stage["preparation"] = preparation(name, cells)
    metric = next((stage["metric"] for stage in stages.values() if stage["n"]), ACCURACY)
    headline: dict[str, Any] = {key: _first_mean(stages, role, ACCURACY) for key, role in HEADLINE}
    if metric != ACCURACY:
        headline |= {headline_key(key, metric): _first_mean(stages, role, metric) for key, role in HEADLINE}
    return headline | {
        "metric": metric,
        "seeds": unique([cell.key.seed for cell in cells]),
        "stages": stages,
        "searches": searches(cells, base),
        "comparisons": comparisons(stages, _asked(runs)),
        "missing": [_missing(cell, base) for cell in cells if not cell.done],
        "runs": [_provenance(run, base) for run in runs],
    }


def headline_key(key: str, metric: str) -> str:
    """Return the headline's key for the metric by which a pipeline's stages are compared."""
    return key.replace(ACCURACY, metric)


def _asked(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the pairs of stages that the job files asked to compare."""
    asked = [run.plan.get("comparisons", {}) for run in runs]
    return list(dict.fromkeys((name, other) for each in asked for name in each for other in each[name]))


def _first_mean(stages: dict[str, dict[str, Any]], role: str, metric: str) -> float | None:
    """Return the mean of a metric over the seeds of the first stage of a role."""
    jobs: dict[str, Any] = next((stage["jobs"] for stage in stages.values() if stage["role"] == role), {})
    values = [value for job in jobs.values() if (value := finite(job["test"]["best"][metric])) is not None]
    return fmean(values) if values else None


def _missing(cell: Cell, base: Path) -> dict[str, Any]:
    return {
        "stage": cell.key.stage,
        "seed": cell.key.seed,
        "state": cell.state,
        "reason": cell.reason,
        "run": cell.run.name,
        "folder": _relative(cell.folder, base),
    }


def _provenance(run: Run, base: Path) -> dict[str, Any]:
    records = (run.folder.job_file, run.folder.plan, run.folder.provenance, run.folder.journal)
    return {
        "run": run.folder.name,
        "folder": _relative(run.folder.path, base),
        "about": run.plan.get("about"),
        "files": [file.name for file in records if file.is_file()],
        "provenance": _short(read_object(run.folder.provenance) or {}),
    }


def _short(value: Any) -> Any:
    """Return provenance with its long texts (an uncommitted diff) only counted: they stay in the run folder."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, str) and len(value) > LONGEST_FACT:
        return f"{len(value)} characters, in provenance.json"
    return value


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _without_nan(value: Any) -> Any:
    """Return the value with null for every number that JSON cannot write."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
