"""Temperatures that change over a training: the catalogue's entries of kind "temperature".

Each function returns the temperature of an epoch from (epoch, epochs, validation losses of the finished epochs). It has
no state of its own: the losses are in the checkpoint, so a resumed training goes on with the same temperatures. The
loss keeps its factor T^2. The losses are cross-entropies on validation images, which do not change with T; they are
smoothed by a moving average. Between ``low`` and ``high``: T = low + (high - low) s with s in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kd.arguments import Fraction, PositiveFloat

__all__ = ["constant", "cosine", "linear", "loss", "slope"]


def constant(epoch: int, epochs: int, validation_losses: Sequence[float], *, temperature: PositiveFloat = 4.0) -> float:
    """The same temperature in every epoch."""
    return temperature


def linear(
    epoch: int,
    epochs: int,
    validation_losses: Sequence[float],
    *,
    start: PositiveFloat = 4.0,
    end: PositiveFloat = 2.0,
) -> float:
    """From ``start`` in the first epoch to ``end`` in the last, in equal steps."""
    return start + (end - start) * _progress(epoch, epochs)


def cosine(
    epoch: int,
    epochs: int,
    validation_losses: Sequence[float],
    *,
    low: PositiveFloat = 2.0,
    high: PositiveFloat = 6.0,
) -> float:
    """From ``high`` to ``low`` along half a cosine: s = (1 + cos(pi t)) / 2, t from 0 in the first epoch to 1."""
    return _between(low, high, (1 + math.cos(math.pi * _progress(epoch, epochs))) / 2)


def loss(
    epoch: int,
    epochs: int,
    validation_losses: Sequence[float],
    *,
    low: PositiveFloat = 2.0,
    high: PositiveFloat = 6.0,
    smoothing: Fraction = 0.5,
) -> float:
    """Falls with the validation loss: s = L / max L so far, since the least a cross-entropy can be is 0."""
    smooth = _smoothed(validation_losses[:epoch], smoothing)
    return _between(low, high, smooth[-1] / max(smooth) if smooth else 1.0)


def slope(
    epoch: int,
    epochs: int,
    validation_losses: Sequence[float],
    *,
    low: PositiveFloat = 2.0,
    high: PositiveFloat = 6.0,
    steepness: PositiveFloat = 10.0,
    smoothing: Fraction = 0.5,
) -> float:
    """High while the validation loss moves, low when it rests: s = 1 - exp(-steepness |dL|), dL per epoch."""
    smooth = _smoothed(validation_losses[:epoch], smoothing)
    moved = abs(smooth[-1] - smooth[-2]) if len(smooth) > 1 else math.inf
    return _between(low, high, 1 - math.exp(-steepness * moved))


def _progress(epoch: int, epochs: int) -> float:
    return epoch / (epochs - 1) if epochs > 1 else 0.0


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * min(max(share, 0.0), 1.0)


def _smoothed(losses: Sequence[float], smoothing: float) -> list[float]:
    """Return the moving average: smoothing of the one before, the rest of the new value."""
    smooth: list[float] = []
    for value in losses:
        smooth.append(smoothing * smooth[-1] + (1 - smoothing) * value if smooth else value)
    return smooth
