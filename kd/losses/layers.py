"""Losses that learn which features to compare: factors of a map, layers of the two networks. Scalars, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import NonNegativeFloat, PositiveFloat
from kd.errors import SpecError
from kd.losses.adapters import CrossLayer, Factors
from kd.losses.maps import same_size
from kd.losses.numerics import full, target, unit

__all__ = ["ft", "semckd"]


def ft(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: Factors,
    *,
    reconstruction: NonNegativeFloat = 1.0,
) -> Tensor:
    """Factor transfer of Kim et al. 2018 (arXiv:1802.04977): translate the student's map into the teacher's factors.

    mean |Q_student / |Q_student| - Q_teacher / |Q_teacher|| + reconstruction * mean (F' - F_teacher)^2, of the last
    maps, with Q [B, H W] the mean over the channels of the squared factors and F' the teacher's map made again of its
    factors. The authors train the paraphraser, the second part, beforehand; here it is trained beside the student, who
    gets no gradient of it.
    """
    student, teacher = full(student_maps[-1]), target(teacher_maps[-1])
    ours, theirs, again = adapter(student, teacher)
    first, second = same_size((ours, theirs))  # which cuts the teacher's off
    return (_where(first) - _where(second)).abs().mean() + reconstruction * F.mse_loss(again, teacher)


def semckd(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: CrossLayer,
    *,
    softness: PositiveFloat = 1.0,
) -> Tensor:
    """Semantic calibration of Chen et al. 2021 (arXiv:2012.03236): each of the student's stages learns those that suit.

    mean over images and the student's stages s of sum_t w_st mean (r_st(F_s) - F_t)^2, with r_st three convolutions and
    w [B, s, t] the softmax over the teacher's stages t of the products of embeddings, over ``softness``: two layers on
    an image's inner products with the batch, scaled to length 1. Raises SpecError where a batch has another size.
    """
    students, teachers = [full(maps) for maps in student_maps], [target(maps) for maps in teacher_maps]
    if len(students[0]) != adapter.images:
        message = f"loss 'semckd' was built for batches of {adapter.images} images, and this one has {len(students[0])}"
        raise SpecError([f"{message}; leave 'accumulate' out"])
    shares = adapter.shares(students, teachers, softness)
    gaps = []
    for regressors, ours in zip(adapter.regressors, students, strict=True):
        assert isinstance(regressors, torch.nn.ModuleList)
        for regress, theirs in zip(regressors, teachers, strict=True):
            s, t = same_size((ours, theirs))
            gaps.append((regress(s) - t).square().flatten(1).mean(1))
    return (shares.flatten(1) * torch.stack(gaps, 1)).sum() / (len(shares) * len(students))


def _where(factors: Tensor) -> Tensor:
    return unit(factors.square().mean(1).flatten(1), dim=1, least=1e-3)  # of a dead map the norms leave noise
