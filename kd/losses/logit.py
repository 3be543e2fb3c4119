"""Losses on logits. Each is a pure function to a scalar, in float32 whatever the precision of the networks.

Shapes: logits [B, C] before softmax; labels [B], int64. Every loss is a mean over the batch.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction, PositiveFloat

__all__ = ["ce", "kd"]


def ce(student_logits_BC: Tensor, labels_B: Tensor, *, label_smoothing: Fraction = 0.0) -> Tensor:
    """Cross-entropy with the true labels, optionally smoothed."""
    return F.cross_entropy(student_logits_BC.float(), labels_B, label_smoothing=label_smoothing)


def kd(student_logits_BC: Tensor, teacher_logits_BC: Tensor, *, temperature: PositiveFloat = 4.0) -> Tensor:
    """Distillation of Hinton et al. 2015 (arXiv:1503.02531): T^2 KL(teacher || student) of softened outputs.

    The divergence is summed over the classes and averaged over the samples. The factor T^2 keeps the size of
    the gradient about the same at any temperature.
    """
    student = F.log_softmax(student_logits_BC.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits_BC.float() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
