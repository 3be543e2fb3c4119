"""Losses on how the channels of a map, or of two, go together. Functions to a scalar, in float32; maps [B, C, H, W]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction, PositiveInt
from kd.errors import SpecError
from kd.losses.adapters import MaskedGeneration, Regressors
from kd.losses.maps import paired, pool, same_size
from kd.losses.numerics import full, target, unit

__all__ = ["fsp", "ickd", "mgd", "nst"]


def ickd(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: Regressors,
    *,
    stages: list[PositiveInt] | None = None,
) -> Tensor:
    """Inter-channel correlation of Liu et al. 2021 (arXiv:2202.03680): equal similarities of channels in each image.

    sum over ``stages`` (the last one by default) of mean_i |G_student - G_teacher|^2 / C, with G [C, C] the inner
    products of the channels of an image's map, each row scaled to length 1, C the teacher's channels; the student's
    map first passes a 1x1 convolution and batch norm.
    """
    pairs = paired(student_maps, teacher_maps, stages)
    students, teachers = zip(*(pairs if stages else pairs[-1:]), strict=True)
    gaps = [
        (_similarities(ours) - _similarities(target(theirs))).square().sum() / (theirs.shape[0] * theirs.shape[1])
        for ours, theirs in zip(adapter([full(maps) for maps in students]), teachers, strict=True)
    ]
    return torch.stack(gaps).sum()


def nst(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: list[PositiveInt] | None = None
) -> Tensor:
    """Neuron selectivity transfer of Huang & Wang 2017 (arXiv:1707.01219): alike distributions of the channels' maps.

    sum over ``stages`` of the squared maximum mean discrepancy of the channels, each flattened and scaled to length 1,
    under the kernel (a . b)^2: mean k(t, t) + mean k(s, s) - 2 mean k(s, t), over the images and pairs of channels.
    """
    losses = []
    for student, teacher in map(same_size, paired(student_maps, teacher_maps, stages)):
        s, t = (unit(maps.flatten(2), dim=2) for maps in (student, teacher))
        losses.append(_kernel(t, t) + _kernel(s, s) - 2 * _kernel(s, t))
    return torch.stack(losses).sum()


def fsp(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: list[PositiveInt] | None = None
) -> Tensor:
    """Flow of the solution procedure, Yim et al. 2017 (CVPR): how two successive stages' channels go together.

    sum over successive ``stages`` of the mean of (G_student - G_teacher)^2, with G [B, C, C'] the mean over the places
    of the product of a channel of one stage and one of the next. Student and teacher must be equally wide there: raises
    SpecError when they are not, or when there are fewer than two stages.
    """
    pairs = paired(student_maps, teacher_maps, stages)
    if any(ours.shape[1] != theirs.shape[1] for ours, theirs in pairs) or len(pairs) < 2:
        raise SpecError(["loss 'fsp' needs two stages or more in which student and teacher have equally many channels"])
    flows = (([full(s) for s, _ in two], [target(t) for _, t in two]) for two in pairwise(pairs))
    return torch.stack([F.mse_loss(_flow(*ours), _flow(*theirs)) for ours, theirs in flows]).sum()


def mgd(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: MaskedGeneration,
    *,
    blanked: Fraction = 0.15,
    stages: list[PositiveInt] | None = None,
) -> Tensor:
    """Masked generation of Yang et al. 2022 (arXiv:2205.01529): the teacher's map from part of the student's.

    sum over ``stages`` (the last one by default) of mean_i |g(mask * F_student) - F_teacher|^2, summed over channels
    and places; the mask blanks each channel of each image with probability ``blanked``, g is two 3x3 convolutions with
    a ReLU between them, behind a 1x1 convolution where the channels differ.
    """
    pairs = paired(student_maps, teacher_maps, stages)
    students, teachers = zip(*map(same_size, pairs if stages else pairs[-1:]), strict=True)
    generated = adapter(students, blanked)
    return torch.stack([(g - t).square().sum() / len(t) for g, t in zip(generated, teachers, strict=True)]).sum()


def _similarities(maps: Tensor) -> Tensor:
    channels = maps.flatten(2)
    return unit(channels @ channels.transpose(1, 2), dim=2, least=1e-6)  # of a dead map rounding errors are left


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.transpose(1, 2)).square().mean()


def _flow(first: Tensor, second: Tensor) -> Tensor:
    """Return [B, channels of the second, channels of the first], both maps at the smaller size."""
    height, width = (min(sides) for sides in zip(first.shape[-2:], second.shape[-2:], strict=True))
    a, b = (pool(maps, height, width).flatten(2) for maps in (first, second))
    return b @ a.transpose(1, 2) / a.shape[2]
