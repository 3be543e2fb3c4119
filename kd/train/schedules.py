"""Learning-rate schedules: the factor on the base rate, a pure function of the epoch as a real number.

Step k of n in epoch e is at e + (k + 1/2) / n. Because a schedule has no state, resuming needs none.
``warmup`` is in epochs and rises linearly from nothing. A job file whose warm-up reaches beyond the first drop, or
fills the whole training, is refused: the two factors would multiply, or the base rate would never be reached.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from kd.arguments import Fraction, NonNegativeFloat, PositiveInt

__all__ = ["constant", "cosine", "multistep", "step", "triangular"]

Schedule = Callable[[float], float]


def constant(epochs: int, *, warmup: NonNegativeFloat = 0.0) -> Schedule:
    """The base rate throughout."""
    return _warmed(lambda epoch: 1.0, warmup)


def cosine(epochs: int, *, warmup: NonNegativeFloat = 0.0, final: Fraction = 0.0) -> Schedule:
    """Half a cosine from the base rate (after the warm-up) to ``final`` times it (arXiv:1608.03983)."""

    def factor(epoch: float) -> float:
        done = min(max((epoch - warmup) / max(epochs - warmup, 1e-9), 0.0), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    return _warmed(factor, warmup)


def multistep(
    epochs: int, *, milestones: list[PositiveInt], gamma: Fraction = 0.1, warmup: NonNegativeFloat = 0.0
) -> Schedule:
    """Times ``gamma`` at each milestone epoch."""
    ordered = sorted(milestones)
    return _warmed(lambda epoch: gamma ** bisect_right(ordered, epoch), warmup)


def step(epochs: int, *, every: PositiveInt, gamma: Fraction = 0.1, warmup: NonNegativeFloat = 0.0) -> Schedule:
    """Times ``gamma`` every so many epochs."""
    return _warmed(lambda epoch: gamma ** int(epoch // every), warmup)


def triangular(
    epochs: int,
    *,
    peak: Fraction = 0.25,
    start: Fraction = 0.2,
    end: Fraction = 0.05,
) -> Schedule:
    """Straight up from ``start`` times the base rate to all of it at share ``peak`` of the epochs, down to ``end``.

    One cycle, for trainings of few epochs (arXiv:1708.07120).
    """
    top = peak * epochs

    def factor(epoch: float) -> float:
        if epoch < top:
            return start + (1 - start) * epoch / top
        return end + (1 - end) * max(epochs - epoch, 0.0) / max(epochs - top, 1e-9)

    return factor


def stretched(schedule: Schedule, factor: float) -> Schedule:
    """Return a schedule that passes ``factor`` times as fast."""
    return lambda epoch: schedule(epoch * factor)


def _warmed(factor: Schedule, warmup: float) -> Schedule:
    """Return ``factor`` multiplied by a linear rise over the first ``warmup`` epochs."""
    return lambda epoch: factor(epoch) * (epoch / warmup if epoch < warmup else 1.0)
