"""Losses on how the samples of a batch relate to each other. Pure functions to a scalar, in float32.

They need no adapters: student and teacher may differ in width. They depend on which samples share a batch; in training
with several processes each compares its own share.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import NonNegativeFloat, PositiveInt
from kd.losses.maps import paired
from kd.losses.numerics import full, target, unit

__all__ = ["pkt", "rkd", "sp"]


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
