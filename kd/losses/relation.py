"""Losses on how the samples of a batch relate to each other. Pure functions to a scalar, in float32.

Student and teacher may differ in width. They depend on which samples share a batch, which is the whole batch of a step
however many processes train.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.arguments import NonNegativeFloat, PositiveInt
from kd.losses.maps import paired
from kd.losses.numerics import full, target, unit

__all__ = ["cc", "pkt", "rkd", "sp", "srd"]


def sp(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: list[PositiveInt] | None = None
) -> Tensor:
    """Similarity-preserving distillation of Tung & Mori 2019 (arXiv:1907.09682): equal similarities within a batch.

    ||G_student - G_teacher||^2 / B^2 with G [B, B] the inner products of the flattened maps, each row scaled to length
    1; summed over ``stages`` (from 1), the last one by default.
    """
    pairs = paired(student_maps, teacher_maps, stages)
    chosen = pairs if stages else pairs[-1:]
    gaps = [(_similarities(full(s)) - _similarities(target(t))).square().mean() for s, t in chosen]
    return torch.stack(gaps).sum()


def rkd(
    student_pooled_BD: Tensor,
    teacher_pooled_BD: Tensor,
    *,
    distance: NonNegativeFloat = 1.0,
    angle: NonNegativeFloat = 2.0,
) -> Tensor:
    """Relational distillation of Park et al. 2019 (arXiv:1904.05068): equal distances and angles within a batch.

    distance * huber(d_student - d_teacher) + angle * huber(a_student - a_teacher): d [B, B] the distances of pairs over
    their mean, a [B, B, B] the cosines of the angles of triplets; both averaged over all entries. Memory grows with B^3
    (0.5 GB per network at B = 512).
    """
    student, teacher = full(student_pooled_BD), target(teacher_pooled_BD)
    distances = F.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))
    angles = F.smooth_l1_loss(_angle_cosines(student), _angle_cosines(teacher))
    return distance * distances + angle * angles


def pkt(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor) -> Tensor:
    """Probabilistic knowledge transfer of Passalis & Tefas 2018 (arXiv:1803.10837): equal neighbourhoods.

    sum_ij K_teacher log(K_teacher / K_student) / B, with K [B, B] the cosine similarities, moved to 0 .. 1, each row
    scaled to sum 1. The authors' code divides by B^2 instead; a weight for it is this one's times B.
    """
    tiny = 1e-7  # the authors'; opposite features have a similarity of 0
    student, teacher = _neighbourhoods(full(student_pooled_BD)), _neighbourhoods(target(teacher_pooled_BD))
    return (teacher * ((teacher + tiny).log() - (student + tiny).log())).sum(1).mean()


def cc(
    student_pooled_BD: Tensor, teacher_pooled_BD: Tensor, adapter: nn.ModuleList, *, width: PositiveInt = 128
) -> Tensor:
    """Correlation congruence of Peng et al. 2019 (arXiv:1904.01802), as the benchmark has it from its authors.

    mean over successive images i of the batch of sum_d |D_id| |D_(i+1)d|, with D the difference of the embeddings
    [B, ``width``] of student and teacher, each through a linear layer of its own. It depends on the batch's order.
    """
    embed_student, embed_teacher = adapter
    gaps = (embed_student(full(student_pooled_BD)) - embed_teacher(target(teacher_pooled_BD))).abs()
    products: Tensor = gaps[:-1] * gaps[1:]
    return products.sum(1).mean()


def srd(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor, adapter: nn.Linear) -> Tensor:
    """Simple recipe distillation of Miles & Mikolajczyk 2024 (arXiv:2303.11098): projected, normalised, log of a sum.

    log sum_ij |S_ij - T_ij|^4, with S and T [B, D] the features, the student's through a linear layer, each dimension
    normalised over the batch (variance + 1e-4, the authors').
    """
    gaps = _over_the_batch(adapter(full(student_pooled_BD))) - _over_the_batch(target(teacher_pooled_BD))
    total: Tensor = gaps.pow(4).sum()
    return total.log()


def _over_the_batch(features_BD: Tensor) -> Tensor:
    centred = features_BD - features_BD.mean(0)
    return centred / (centred.square().mean(0) + 1e-4).sqrt()


def _similarities(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return unit(flat @ flat.T, dim=1)


def _relative_distances(features_BD: Tensor) -> Tensor:
    """Return Euclidean distances [B, B] divided by the mean of those that are not 0."""
    distances = torch.cdist(features_BD, features_BD, compute_mode="donot_use_mm_for_euclid_dist")
    apart = (distances > 0).sum().clamp_min(1)
    return distances / (distances.sum() / apart).clamp_min(torch.finfo(distances.dtype).tiny)


def _angle_cosines(features_BD: Tensor) -> Tensor:
    """Return [B, B, B]: at (j, i, k) the cosine of the angle at sample j between samples i and k."""
    directions = unit(features_BD[None] - features_BD[:, None], dim=2)
    return directions @ directions.transpose(1, 2)


def _neighbourhoods(features_BD: Tensor) -> Tensor:
    directions = unit(features_BD, dim=1)
    similarities = ((directions @ directions.T + 1) / 2).clamp_min(0)  # a rounding error below 0 has no logarithm
    return similarities / similarities.sum(1, keepdim=True)
