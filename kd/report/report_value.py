"""report.json as a value: what kd-collect assembled, one ``Family`` per pipeline.

Accuracies are fractions, times are seconds. Seeds are keys, as JSON has them: ``"42"``, or ``"single"``.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from kd.errors import RunError
from kd.report.report_stages import Deployment, SearchSummary, StageSummary
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import RunFolder
from kd.rundir.result_sections import MissingJob


class PValues(Struct, frozen=True, kw_only=True):
    """p values of one comparison, by themselves and corrected over the ``family`` of comparisons (Holm 1979)."""

    paired_t: float | None
    sign_flip: float | None
    sign_flip_floor: float | None
    paired_t_holm: float | None
    sign_flip_holm: float | None
    family: int


class Comparison(Struct, frozen=True, kw_only=True):
    """One stage against another over the seeds that both finished."""

    stage: str
    against: str
    seeds: list[str]
    n: int
    difference: float | None
    sd: float | None
    ci95: list[float] | None
    differences: dict[str, float]
    p: PValues
    effect_size_dz: float | None
    teacher: str | None
    gap_closed: float | None
    retention: float | None
    budget_differences: list[str]  # each forbids ranking the two
    notes: list[str]
    verdict: str = ""


class Headline(Struct, frozen=True, kw_only=True):
    """The stages whose means are the three numbers of a family; ``rule`` is how the distilled one was chosen."""

    teacher: str | None = None
    baseline: str | None = None
    distilled: str | None = None
    rule: str = ""
    best_on_validation: str | None = None  # of the distilled stages, whatever the rule


class Expectation(Struct, frozen=True, kw_only=True):
    """A target of a job file and how it stands: met, not met, cannot tell.

    ``interval`` is the 95 % interval over ``interval_of``: the seeds, or the test images where there is one seed.
    """

    stage: str
    wanted: str
    metric: str
    n: int
    mean: float | None
    interval: list[float] | None
    interval_of: str | None
    outcome: str


class Undrawn(Struct, frozen=True, kw_only=True):
    """A stage that was finished before ``draw`` was asked for, and the command that makes what there is to draw."""

    stage: str
    command: str


class RunRecord(Struct, frozen=True, kw_only=True):
    """A run that was collected; texts too long to repeat are only counted in ``provenance``."""

    run: str
    folder: str
    about: str | None
    files: list[str]
    provenance: dict[str, object]


class Family(Struct, frozen=True, kw_only=True):
    """One pipeline. The headline numbers are means over seeds; the F1 scores only of images with several labels."""

    teacher_accuracy: float | None
    student_accuracy_without_kd: float | None
    student_accuracy_with_kd: float | None
    teacher_f1_score: float | UnsetType | None = UNSET
    student_f1_score_without_kd: float | UnsetType | None = UNSET
    student_f1_score_with_kd: float | UnsetType | None = UNSET
    metric: str
    seeds: list[int]
    stages: dict[str, StageSummary]
    searches: dict[str, SearchSummary]
    comparisons: list[Comparison]
    missing: list[MissingJob]
    runs: list[RunRecord]
    headline: Headline = Headline()
    expectations: list[Expectation] = []
    deployment: list[Deployment] = []
    undrawn: list[Undrawn] = []
    remarks: list[str] = []
    differs: list[str] = []  # of a run beside others: its settings that the first of them has otherwise


Report: TypeAlias = dict[str, Family]


def report_content(report: Report) -> dict[str, object]:
    """Return the content of report.json, with null for every number that JSON cannot write."""
    content: dict[str, object] = _without_nan(msgspec.to_builtins(report))
    return content


def read_report(run: RunFolder) -> Report:
    """Return the report that lies in a run folder. Raises RunError when there is none that can be read."""
    try:
        return read_bounded_json(run.report_json, dict[str, Family])
    except (OSError, ValueError) as error:
        raise RunError(f"{run.report_json}: cannot be read ({error}); run kd-collect again") from None


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
