"""The growth of a loss over its first epochs, as some papers ask for."""

from __future__ import annotations


def ramp(epoch: int, warmup: int) -> float:
    """Return the factor of an epoch (from 0): 1/warmup in the first one, 1 from the last one of the warm-up on."""
    return min((epoch + 1) / warmup, 1.0) if warmup else 1.0


def ramp_from_zero(epoch: int, warmup: int) -> float:
    """Return the factor of an epoch (from 0): 0 in the first one, 1 from the one after the warm-up on."""
    return min(epoch / warmup, 1.0) if warmup else 1.0
