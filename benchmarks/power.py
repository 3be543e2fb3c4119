"""How many seeds would show an effect of the size that was seen, and the comparisons of a report at the last epoch.

Both are beside a report's own comparisons, which are of the weights chosen on validation images: the choice itself
can be noisy, as where validation labels are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import chi2, norm, t

from kd.report.statistics import Paired, compare, holm

LEVEL, POWER, MOST, POINTS = 0.05, 0.8, 10_000, 1000


def seeds_needed(effect_size: float) -> int | None:
    """Return with how many seeds a paired t test at 5 % shows an effect (d_z) in 80 % of the cases; None above 10,000.

    By the noncentral t distribution, two-sided.
    """
    size = abs(effect_size)
    return next((n for n in range(2, MOST + 1) if _power(size, n) >= POWER), None) if size > 0.02 else None


def further_comparisons(family: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return per pair of a report the seeds that its effect needs, and the same pair at the last epoch."""
    stages, pairs = family["stages"], family["comparisons"]
    last = [_at_the_last_epoch(stages[pair["stage"]], stages[pair["against"]]) for pair in pairs]
    corrected = holm([each.paired_t for each in last])
    return [
        {
            "stage": pair["stage"],
            "against": pair["against"],
            "seeds_needed": _needed(pair["effect_size_dz"]),
            "last_epoch": {
                "n": each.sample.n,
                "difference": each.sample.mean,
                "ci95": each.sample.ci95,
                "effect_size_dz": each.effect_size,
                "paired_t_holm": p,
                "seeds_needed": _needed(each.effect_size),
            },
        }
        for pair, each, p in zip(pairs, last, corrected, strict=True)
    ]


def _at_the_last_epoch(stage: Mapping[str, Any], against: Mapping[str, Any]) -> Paired:
    one, two = ((each.get("last_epoch") or {}).get("values") or {} for each in (stage, against))
    return compare(one, two)


def _needed(effect_size: float | None) -> int | None:
    return None if effect_size is None else seeds_needed(effect_size)


def _power(size: float, n: int) -> float:
    """Return the power: a mean over the distribution of the deviation, since scipy's noncentral t gives NaN here."""
    bound, centre = t.ppf(1 - LEVEL / 2, n - 1), size * sqrt(n)
    shares = (np.arange(POINTS) + 0.5) / POINTS
    limits = bound * np.sqrt(chi2.ppf(shares, n - 1) / (n - 1))
    return float((norm.cdf(centre - limits) + norm.cdf(-centre - limits)).mean())
