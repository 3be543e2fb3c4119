"""Losses on feature maps and pooled features. Functions to a scalar, in float32.

Maps are the outputs of the networks' stages, after the activation; preactivations are those before it. ``stages``
(counted from 1) chooses some; by default student and teacher are compared stage by stage where they have equally many,
else at the last one. What a loss trains or remembers is in its ``adapter``, built by the function of the same name in
``kd.losses.builders``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction, NonNegativeInt, PositiveFloat, PositiveInt
from kd.losses.adapters import GaussianRegressors, Regressors, ReviewFusion
from kd.losses.contrastive_memory import ContrastiveMemory
from kd.losses.maps import middle, paired, pool, same_size
from kd.losses.numerics import full, target, unit
from kd.losses.warmup import ramp_from_zero

__all__ = ["at", "crd", "fitnet", "review", "vid"]


def fitnet(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: Regressors,
    *,
    stages: list[PositiveInt] | None = None,
    distance: Literal["squared", "cosine"] = "squared",
) -> Tensor:
    """Hints of Romero et al. 2015 (arXiv:1412.6550): a regressor maps the student's features to the teacher's.

    sum over ``stages`` (the middle one by default) of the mean of (r(F_student) - F_teacher)^2, with r a 1x1
    convolution and batch norm. In one training with the other terms; the paper's two phases are two stages of a job.
    With ``distance: cosine``, the mean over the images of 1 - cosine of the two whole maps.
    """
    pairs = paired(student_maps, teacher_maps, stages)
    students, teachers = zip(*map(same_size, pairs if stages else middle(pairs)), strict=True)
    return torch.stack([_DISTANCES[distance](s, t) for s, t in zip(adapter(students), teachers, strict=True)]).sum()


def at(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: list[PositiveInt] | None = None
) -> Tensor:
    """Attention transfer of Zagoruyko & Komodakis 2017 (arXiv:1612.03928): look at the same places.

    sum over ``stages`` of the mean of (Q_student / |Q_student| - Q_teacher / |Q_teacher|)^2, with Q [B, H W] the mean
    over the channels of the squared map. The squared norm is the authors' code; the paper's equation has none.
    """
    pairs = map(same_size, paired(student_maps, teacher_maps, stages))
    return torch.stack([F.mse_loss(_attention(student), _attention(teacher)) for student, teacher in pairs]).sum()


def vid(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    adapter: GaussianRegressors,
    *,
    stages: list[PositiveInt] | None = None,
) -> Tensor:
    """Variational information distillation of Ahn et al. 2019 (arXiv:1904.05835): predict the teacher with a variance.

    sum over ``stages`` of the mean of ((m(F_student) - F_teacher)^2 / v + log v) / 2, with m three 1x1 convolutions and
    v a learned variance per channel of the teacher's map.
    """
    students, teachers = zip(*map(same_size, paired(student_maps, teacher_maps, stages)), strict=True)
    losses = [
        ((mean - teacher).square() / variance + variance.log()).mean() / 2
        for (mean, variance), teacher in zip(adapter(students), teachers, strict=True)
    ]
    return torch.stack(losses).sum()


def review(
    student_maps: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    student_pooled_BD: Tensor,
    teacher_pooled_BD: Tensor,
    adapter: ReviewFusion,
    epoch: int,
    *,
    stages: list[PositiveInt] | None = None,
    warmup: NonNegativeInt = 0,
) -> Tensor:
    """Knowledge review of Chen et al. 2021 (arXiv:2104.09044): fused stages of the student learn each of the teacher's.

    sum over ``stages`` and the pooled features of the hierarchical loss: squared differences of the maps and of their
    averages over 4x4, 2x2 and 1x1 regions, weighted 1, 1/2, 1/4, 1/8. The student's maps are those after the
    activation, the teacher's those before it. Over ``warmup`` epochs it grows from 0 to its full size.
    """
    pairs = [
        *paired(student_maps, teacher_preactivations, stages),
        (_as_map(student_pooled_BD), _as_map(teacher_pooled_BD)),
    ]
    teachers = [target(teacher) for _, teacher in pairs]
    fused = adapter([full(student) for student, _ in pairs], [teacher.shape[-2:] for teacher in teachers])
    losses = [_hierarchical(student, teacher) for student, teacher in zip(fused, teachers, strict=True)]
    return ramp_from_zero(epoch, warmup) * torch.stack(losses).sum()


def crd(
    student_pooled_BD: Tensor,
    teacher_pooled_BD: Tensor,
    indices_B: Tensor,
    adapter: ContrastiveMemory,
    *,
    negatives: PositiveInt = 16384,
    temperature: PositiveFloat = 0.07,
    momentum: Fraction = 0.5,
) -> Tensor:
    """Contrastive distillation of Tian et al. 2020 (arXiv:1910.10699): recognise an image's own teacher features.

    For each network's embedding against the other's remembered ones, -log h(own) - sum over K negatives of log(1 - h),
    averaged over the batch; h = x / (x + K / N), x = exp(cosine / T) / Z, N training images, Z fixed at the first
    batch. Negatives are of other classes. The memory then moves to the new embeddings by ``1 - momentum``.
    """
    student, teacher = adapter.embed(full(student_pooled_BD), target(teacher_pooled_BD))
    chosen = torch.cat([indices_B[:, None], adapter.draw(indices_B, negatives)], dim=1)  # [B, 1 + K]
    # cosines with the whole bank, of which the chosen are picked: far less to read than one copy per negative
    cosines = [student @ adapter.teacher_bank.T, teacher @ adapter.student_bank.T]
    scores = adapter.normalised(torch.stack([each.gather(1, chosen) for each in cosines]) / temperature)
    log_share = math.log(negatives / len(adapter.labels))
    either = torch.logaddexp(scores, torch.full_like(scores, log_share))
    log_own, log_others = scores[..., 0] - either[..., 0], log_share - either[..., 1:]
    adapter.remember(indices_B, student, teacher, momentum)
    return -(log_own.sum() + log_others.sum()) / len(indices_B)


def _one_minus_cosine(student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
    return (1 - (unit(student_BCHW.flatten(1), dim=1) * unit(teacher_BCHW.flatten(1), dim=1)).sum(dim=1)).mean()


_DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"squared": F.mse_loss, "cosine": _one_minus_cosine}


def _attention(maps: Tensor) -> Tensor:
    return unit(maps.square().mean(1).flatten(1), dim=1)


def _as_map(pooled_BD: Tensor) -> Tensor:
    return pooled_BD[:, :, None, None]


def _hierarchical(student: Tensor, teacher: Tensor) -> Tensor:
    """Return ReviewKD's HCL: the maps compared whole and averaged over ever larger regions."""
    loss, weight, total = F.mse_loss(student, teacher), 1.0, 1.0
    for size in (4, 2, 1):
        if size < min(teacher.shape[-2:]):
            weight /= 2
            total += weight
            loss = loss + weight * F.mse_loss(pool(student, size, size), pool(teacher, size, size))
    return loss / total
