"""Arithmetic that stays finite: the precision losses compute in, and directions of vectors that may be zero."""

from __future__ import annotations

import torch
from torch import Tensor


def full(values: Tensor) -> Tensor:
    """Return the values as float32, or as float64 if that is what they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def target(values: Tensor) -> Tensor:
    """Return what a teacher gave in full precision, cut off from the teacher: no loss trains it."""
    return full(values.detach())


def unit(values: Tensor, dim: int, *, least: float = 1e-12) -> Tensor:
    """Return vectors along a dimension scaled to length 1; one shorter than ``least`` is zero and passes no gradient.

    Dividing by a smallest length instead would pass it a gradient of 1e12 times the loss's.
    """
    lengths = torch.linalg.vector_norm(values, dim=dim, keepdim=True)
    given = lengths > least
    return torch.where(given, values, 0.0) / torch.where(given, lengths, 1.0)
