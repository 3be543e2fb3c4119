"""The precision that losses compute in: float32 at least, whatever the networks run in."""

from __future__ import annotations

import torch
from torch import Tensor


def full(values: Tensor) -> Tensor:
    """Return the values as float32, or as float64 if that is what they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def target(values: Tensor) -> Tensor:
    """Return what a teacher gave in full precision, cut off from the teacher: no loss trains it."""
    return full(values.detach())
