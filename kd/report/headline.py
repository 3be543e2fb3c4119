"""Which stages give the three numbers at the head of a report. The rule is stated, and chosen before any result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from kd.report.report_stages import StageSummary
from kd.report.report_value import Headline
from kd.report.statistics import finite

Stages = Mapping[str, StageSummary]  # by name, in the plan's order

CHOSEN = "chosen in the job file (headline)"
FIRST = "the first distilled stage of the job file"
ONLY = "the only distilled stage"


def headline(stages: Stages, chosen: Sequence[str]) -> Headline:
    """Return the stages at the head of a report; ``chosen`` are those that the job files name for the student.

    Where none is chosen, the first distilled stage counts, whatever it scored: to pick the best by its test accuracy
    would flatter it. The one with the best validation score stands beside it.
    """
    distilled = _of_role(stages, "distilled")
    asked = next((name for name in chosen if name in stages), None)
    scores = {name: mean for name in distilled if (mean := stages[name].validation.mean) is not None}
    return Headline(
        teacher=next(iter(_of_role(stages, "teacher")), None),
        baseline=next(iter(_of_role(stages, "baseline")), None),
        distilled=asked or next(iter(distilled), None),
        rule=CHOSEN if asked else FIRST if len(distilled) > 1 else ONLY,
        best_on_validation=max(scores, key=lambda name: scores[name]) if scores else None,
    )


def mean_of(stages: Stages, name: str | None, metric: str) -> float | None:
    """Return the mean over the seeds of a test metric of one stage."""
    scores = [job.test.best.of(metric) for job in stages[name].jobs.values()] if name else []
    values = [value for score in scores if (value := finite(score)) is not None]
    return fmean(values) if values else None


def _of_role(stages: Stages, role: str) -> list[str]:
    return [name for name, stage in stages.items() if stage.role == role]
