"""Targets that a job file set before the results: met, not met, or impossible to tell with the seeds there are.

A target is met when the whole 95 % interval lies on its side. The interval is the t interval over seeds; with one seed,
that which the size of the test set gives.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from kd.report.report_stages import StageSummary
from kd.report.report_value import Expectation

SIDES: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def judged(stages: Mapping[str, StageSummary], wanted: Mapping[str, str]) -> list[Expectation]:
    """Return how each target of a stage, such as ``">= 0.99"``, stands against its test metric."""
    return [_judged(name, target, stages[name]) for name, target in wanted.items() if name in stages]


def _judged(name: str, target: str, stage: StageSummary) -> Expectation:
    sign = next(each for each in SIDES if target.strip().startswith(each))
    bound = float(target.strip().removeprefix(sign))
    interval, source = _interval(stage)
    return Expectation(
        stage=name,
        wanted=f"{sign} {bound:g}",
        metric=stage.metric,
        n=stage.n,
        mean=stage.mean,
        interval=interval,
        interval_of=source,
        outcome=_outcome(SIDES[sign], bound, interval),
    )


def _interval(stage: StageSummary) -> tuple[list[float] | None, str | None]:
    if stage.ci95 is not None:
        return stage.ci95, "seeds"
    if stage.mean is not None and stage.test_half_width is not None:
        ends = (stage.mean - stage.test_half_width, stage.mean + stage.test_half_width)
        return [min(max(end, 0.0), 1.0) for end in ends], "test images"
    return None, None


def _outcome(fulfils: Callable[[float, float], bool], bound: float, interval: list[float] | None) -> str:
    if interval is None:
        return "cannot tell"
    sides = [fulfils(end, bound) for end in interval]
    return "met" if all(sides) else "cannot tell" if any(sides) else "not met"
