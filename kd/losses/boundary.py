"""Losses on maps before the activation: on which side of 0 the teacher's are matters more than their values there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kd.arguments import PositiveFloat, PositiveInt
from kd.losses.adapters import Connectors
from kd.losses.maps import paired, same_size

__all__ = ["ab", "ofd"]


def ofd(
    student_preactivations: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    adapter: Connectors,
    *,
    stages: list[PositiveInt] | None = None,
) -> Tensor:
    """Overhaul of feature distillation, Heo et al. 2019 (arXiv:1904.01866): positive values, and a margin below 0.

    sum over ``stages`` of 2^(i - n) mean over the images of the sum of (r(F_student) - max(F_teacher, m))^2 where the
    teacher's is above 0 or the student's is above what it is compared with; i counts from 1 to n, r is a 1x1
    convolution and batch norm, m a margin per channel, the teacher's mean below 0 (``kd.losses.adapters``).
    """
    losses = []
    for source, aim, margin in zip(*_sides(student_preactivations, teacher_preactivations, adapter, stages),
                                   adapter.margins, strict=True):  # fmt: skip
        wanted = torch.maximum(aim, margin)
        losses.append(((source - wanted).square() * ((source > wanted) | (wanted > 0))).sum() / len(source))
    return _later_count_more(losses)


def ab(
    student_preactivations: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    adapter: Connectors,
    *,
    margin: PositiveFloat = 1.0,
    stages: list[PositiveInt] | None = None,
) -> Tensor:
    """Activation boundaries of Heo et al. 2019 (arXiv:1811.03233): be active where the teacher is, by a margin.

    sum over ``stages`` of 2^(i - n) mean over the images of the sum of (s + margin)^2 where s > -margin and the teacher
    is not active, and of (s - margin)^2 where s <= margin and it is; s is the student's map through a 1x1 convolution
    and batch norm, i counts from 1 to n. The authors' first phase, before labels, is a stage that others start from.
    """
    losses = []
    for source, aim in zip(*_sides(student_preactivations, teacher_preactivations, adapter, stages), strict=True):
        above = (source + margin).square() * ((source > -margin) & (aim <= 0))
        below = (source - margin).square() * ((source <= margin) & (aim > 0))
        losses.append((above + below).sum() / len(source))
    return _later_count_more(losses)


def _sides(
    student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: Connectors, stages: Sequence[int] | None
) -> tuple[list[Tensor], Sequence[Tensor]]:
    """Return the student's maps as the teacher's channels, and the teacher's, of equal sizes."""
    ours, theirs = zip(*map(same_size, paired(student, teacher, stages)), strict=True)
    return adapter(ours), theirs


def _later_count_more(losses: list[Tensor]) -> Tensor:
    """Return the sum with the last loss whole, the one before it by half, and so on."""
    return torch.stack([loss / 2**steps for steps, loss in enumerate(reversed(losses))]).sum()
