"""Losses of images that may have several labels: each label is a yes or no of its own, with its own sigmoid.

Shapes: logits [B, K] before the sigmoid; labels [B, K], 0 or 1. Every loss is a mean over images and labels, so that
the weights of two terms mean the same for any number of labels. All in float32 whatever the networks run in.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kd.arguments import PositiveFloat
from kd.losses.mixture import Teaching, taught_labels
from kd.losses.numerics import full

__all__ = ["bce", "binary_kd"]


def bce(student_logits_BK: Tensor, labels_BK: Tensor) -> Tensor:
    """Binary cross-entropy with the true labels, a mean over images and labels."""
    logits = full(student_logits_BK)
    return F.binary_cross_entropy_with_logits(logits, labels_BK.to(logits.dtype))


def binary_kd(student_logits_BK: Tensor, teacher_logits_BK: Teaching, *, temperature: PositiveFloat = 4.0) -> Tensor:
    """Distillation (arXiv:1503.02531) of several labels: T^2 KL(teacher || student) of each label's softened sigmoid.

    The divergence is summed over a label's two outcomes, yes and no, and averaged over images and labels. With one
    label it is ``kd`` of the logits [z, 0].
    """
    student = full(student_logits_BK) / temperature
    teacher = taught_labels(teacher_logits_BK, lambda z: z / temperature)
    divergence = sum(
        F.logsigmoid(sign * teacher).exp() * (F.logsigmoid(sign * teacher) - F.logsigmoid(sign * student))
        for sign in (1, -1)
    )
    assert isinstance(divergence, Tensor)
    return divergence.mean() * temperature**2
