"""Statistics of a handful of seeds: mean, spread, intervals and paired tests. Plain floats in and out.

Accuracies are fractions. With few seeds the honest tools are few: a t interval (it assumes roughly normal
values) and the exact sign-flip test (it assumes nothing but symmetry, and with n seeds its p cannot go
below 2 / 2**n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev

EXACT_SIGN_FLIP_LIMIT = 16  # 2**16 sign patterns are still enumerated in a moment
NO_SPREAD = 1e-12  # standard deviations of accuracies below this are rounding


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The seeds of one stage, summarised. ``mean`` needs one seed, ``sd`` and ``ci95`` two; None where undefined."""

    n: int
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """Differences between two stages over the seeds that both finished. None where n is too small."""

    differences: dict[str, float]
    sample: Sample
    paired_t: float | None
    sign_flip: float | None
    sign_flip_floor: float | None
    effect_size: float | None


def finite(value: object) -> float | None:
    """Return ``value`` as a float, or None when it is no number or not a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) else None


def describe(values: Sequence[float]) -> Sample:
    """Return n, mean, standard deviation (n - 1 in the denominator) and the 95 % t interval of the mean."""
    n = len(values)
    if n < 2:
        return Sample(n=n, mean=values[0] if n else None, sd=None, ci95=None)
    mean, sd = fmean(values), stdev(values)
    half = _t_quantile(0.975, n - 1) * sd / sqrt(n)
    return Sample(n=n, mean=mean, sd=sd, ci95=(mean - half, mean + half))


def compare(values: Mapping[str, float], against: Mapping[str, float]) -> Paired:
    """Compare two stages seed by seed: ``values - against`` over the common seeds, with both tests."""
    differences = {seed: value - against[seed] for seed, value in values.items() if seed in against}
    numbers = list(differences.values())
    sample = describe(numbers)
    return Paired(
        differences=differences,
        sample=sample,
        paired_t=paired_t_p(numbers),
        sign_flip=sign_flip_p(numbers),
        sign_flip_floor=sign_flip_floor(len(numbers)),
        effect_size=effect_size(sample),
    )


def effect_size(differences: Sample) -> float | None:
    """Return Cohen's d_z, the mean difference over the differences' deviation; None without spread."""
    if differences.mean is None or differences.sd is None or differences.sd <= NO_SPREAD:
        return None
    return differences.mean / differences.sd


def paired_t_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of the paired t test; None below two seeds or without any spread."""
    size = effect_size(describe(differences))
    return None if size is None else _t_two_sided(size * sqrt(len(differences)), len(differences) - 1)


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of the exact sign-flip (Fisher-Pitman) test, over all 2**n sign patterns.

    It is the share of patterns whose mean is at least as far from 0 as the measured one. None below two
    seeds, and above 16, where the t test serves as well and the enumeration would not end.
    """
    n = len(differences)
    if n < 2 or n > EXACT_SIGN_FLIP_LIMIT:
        return None
    sums = [0.0]
    for difference in differences:
        sums = [total + sign * difference for total in sums for sign in (1.0, -1.0)]
    measured = abs(sum(differences))
    tolerance = 1e-9 * sum(abs(difference) for difference in differences)
    return sum(abs(total) >= measured - tolerance for total in sums) / len(sums)


def sign_flip_floor(n: int) -> float | None:
    """Return the smallest p that the sign-flip test can give with ``n`` seeds: 2 / 2**n."""
    return 2.0 / 2**n if 2 <= n <= EXACT_SIGN_FLIP_LIMIT else None


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down adjusted p values (Holm 1979), in the order given; None stays None."""
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[index] = highest
    return adjusted


def gap_closed(teacher: float | None, baseline: float | None, distilled: float | None) -> float | None:
    """Return (distilled - baseline) / (teacher - baseline); None unless the teacher is above the baseline."""
    if teacher is None or baseline is None or distilled is None or teacher - baseline <= NO_SPREAD:
        return None
    return (distilled - baseline) / (teacher - baseline)


def retention(teacher: float | None, distilled: float | None) -> float | None:
    """Return distilled / teacher: the share of the teacher's accuracy that the student keeps."""
    return None if not teacher or distilled is None else distilled / teacher


def sampling_half_width(accuracy: float | None, images: int | None) -> float | None:
    """Return the 95 % half-width that a test set of so many images by itself gives an accuracy."""
    if accuracy is None or not images:
        return None
    return 1.96 * sqrt(max(accuracy * (1 - accuracy), 0.0) / images)


def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit  # scipy.stats has the same and takes half a second to import

    return float(stdtrit(degrees, probability))


def _t_two_sided(statistic: float, degrees: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(statistic)))
