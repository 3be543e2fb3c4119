"""Losses on logits. Each is a pure function to a scalar, in float32 whatever the precision of the networks.

Shapes: logits [B, C] before softmax; labels [B], int64. A teacher's logits may be a ``Mixture`` of several teachers'.
Every loss is a mean over the batch. Divergences are summed over the classes. Nothing here takes the logarithm of a
probability: log-probabilities come from logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat
from kd.losses.mixture import Teaching, taught
from kd.losses.numerics import full
from kd.losses.softening import divergence, others, softening
from kd.losses.warmup import ramp

__all__ = ["ce", "dist", "dkd", "kd", "kd_standardised", "nkd"]


def ce(student_logits_BC: Tensor, labels_B: Tensor, *, label_smoothing: Fraction = 0.0) -> Tensor:
    """Cross-entropy with the true labels, optionally smoothed."""
    return F.cross_entropy(full(student_logits_BC), labels_B, label_smoothing=label_smoothing)


def kd(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    *,
    temperature: PositiveFloat = 4.0,
    standardise: bool = False,
) -> Tensor:
    """Distillation of Hinton et al. 2015 (arXiv:1503.02531): T^2 KL(teacher || student) of softened outputs.

    The divergence is summed over the classes and averaged over the samples. The factor T^2 keeps the size of
    the gradient about the same at any temperature. ``standardise``: of (z - mean) / deviation, as ``kd_standardised``.
    """
    soften = softening(temperature, standardise=standardise)
    return temperature**2 * divergence(soften(full(student_logits_BC)), taught(teacher_logits_BC, soften))


def dkd(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    labels_B: Tensor,
    epoch: int,
    *,
    temperature: PositiveFloat = 4.0,
    alpha: NonNegativeFloat = 1.0,
    beta: NonNegativeFloat = 8.0,
    warmup: NonNegativeInt = 0,
    standardise: bool = False,
) -> Tensor:
    """Decoupled distillation of Zhao et al. 2022 (arXiv:2203.08679): true class against the rest, and within the rest.

    T^2 (alpha KL([p, 1 - p]_teacher || [p, 1 - p]_student) + beta KL(q_teacher || q_student)), with p the softened
    probability of the true class and q the softmax over the other classes. Over ``warmup`` epochs it grows to its full
    size. ``standardise``: of (z - mean) / deviation. Needs hard labels. With two classes there is nothing within the
    rest, and the second part is 0.
    """
    soften = softening(temperature, standardise=standardise)
    student, teacher = soften(full(student_logits_BC)), taught(teacher_logits_BC, soften)
    own = divergence(_own_and_rest(student, labels_B), _own_and_rest(teacher, labels_B))
    rest = divergence(others(student, labels_B), others(teacher, labels_B))
    return ramp(epoch, warmup) * temperature**2 * (alpha * own + beta * rest)


def dist(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    *,
    temperature: PositiveFloat = 4.0,
    beta: NonNegativeFloat = 1.0,
    gamma: NonNegativeFloat = 1.0,
    standardise: bool = False,
) -> Tensor:
    """DIST of Huang et al. 2022 (arXiv:2205.10536): correlate probabilities within samples and within classes.

    T^2 (beta mean_i (1 - r(S[i, :], T[i, :])) + gamma mean_j (1 - r(S[:, j], T[:, j]))), with r Pearson's correlation
    and S, T the softened probabilities [B, C]; its denominator is the product of the deviations' lengths + 1e-8, the
    authors', which tells at T = 1 with many classes. The second part compares the samples of one batch, so it depends
    on the batch. T^2 is the authors'; a correlation has no scale, so here the gradient does grow with the temperature.
    """
    soften = softening(temperature, standardise=standardise)
    student, teacher = soften(full(student_logits_BC)).softmax(1), taught(teacher_logits_BC, soften).softmax(1)
    within_samples = 1 - _correlations(student, teacher, dim=1).mean()
    within_classes = 1 - _correlations(student, teacher, dim=0).mean()
    return temperature**2 * (beta * within_samples + gamma * within_classes)


def kd_standardised(
    student_logits_BC: Tensor, teacher_logits_BC: Teaching, *, temperature: PositiveFloat = 2.0
) -> Tensor:
    """Distillation of standardised logits, Sun et al. 2024 (arXiv:2403.01427): kd of (z - mean) / deviation.

    Mean and (unbiased) deviation are over the classes of each sample, so the student need not match the teacher's
    scale. No standardised logit exceeds (C - 1) / sqrt(C): with 10 classes at T = 2 no target probability exceeds 0.35,
    so few classes call for a temperature below 1.
    """
    return kd(student_logits_BC, teacher_logits_BC, temperature=temperature, standardise=True)


def nkd(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    labels_B: Tensor,
    *,
    temperature: PositiveFloat = 1.0,
    gamma: NonNegativeFloat = 1.5,
    standardise: bool = False,
) -> Tensor:
    """Normalised distillation of Yang et al. 2023 (arXiv:2303.13005): the true class as a soft label, and the others.

    -p_teacher log p_student - gamma T^2 sum_i q_teacher[i] log q_student[i], with p the probability of the true class
    at T = 1 and q the softened softmax over the other classes. Its minimum is not 0. Needs hard labels.
    """
    student, label_B1 = full(student_logits_BC), labels_B[:, None]
    plain, soften = (softening(each, standardise=standardise) for each in (1.0, temperature))
    p_teacher = taught(teacher_logits_BC, plain).softmax(1).gather(1, label_B1)
    own = -(p_teacher * plain(student).log_softmax(1).gather(1, label_B1)).mean()
    q_teacher = others(taught(teacher_logits_BC, soften), labels_B).softmax(1)
    q_student = others(soften(student), labels_B).log_softmax(1)
    return own - gamma * temperature**2 * (q_teacher * q_student).sum(1).mean()


def _own_and_rest(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Return logits [B, 2] of the true class and of all others together."""
    own = logits_BC.gather(1, labels_B[:, None])
    rest = others(logits_BC, labels_B).logsumexp(1, keepdim=True)
    return torch.cat([own, rest], dim=1)


def _correlations(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """Return Pearson's correlation along a dimension, 0 where one side does not vary."""
    first, second = (values - values.mean(dim, keepdim=True) for values in (student, teacher))
    lengths = [torch.linalg.vector_norm(values, dim=dim, keepdim=True) for values in (first, second)]
    varying: Tensor = torch.where(
        lengths[0] > 1e-12, first, 0.0
    )  # a student that does not vary gets no gradient of 1e8
    scale: Tensor = lengths[0] * lengths[1] + 1e-8
    return (varying * second).sum(dim) / scale.squeeze(dim)
