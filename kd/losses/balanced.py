"""Losses on true labels in which rare classes count for more. Shapes and rules as in kd.losses.logit and .binary.

A weight is the inverse of a class's effective number of images, (1 - beta) / (1 - beta^n), Cui et al. 2019
(arXiv:1901.05555); at beta = 1 the inverse of their number n. Weights are scaled to a mean of 1 over the training
images (the authors: over the classes), and the loss is a plain mean over the batch, so that its size beside other
terms stays about that of the unweighted loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction
from kd.losses.numerics import full

__all__ = ["balanced_bce", "balanced_ce"]


def balanced_ce(
    student_logits_BC: Tensor,
    labels_B: Tensor,
    class_counts_C: Tensor,
    *,
    beta: Fraction = 1.0,
    label_smoothing: Fraction = 0.0,
) -> Tensor:
    """Cross-entropy for uneven classes, Cui et al. 2019 (arXiv:1901.05555): images of rare classes count for more."""
    logits = full(student_logits_BC)
    each = F.cross_entropy(logits, labels_B, label_smoothing=label_smoothing, reduction="none")
    return (each * balanced_weights(class_counts_C, beta).to(logits.dtype)[labels_B]).mean()


def balanced_bce(
    student_logits_BK: Tensor, labels_BK: Tensor, label_counts_K2: Tensor, *, beta: Fraction = 1.0
) -> Tensor:
    """Binary cross-entropy for rare labels, Cui et al. 2019 (arXiv:1901.05555): a rare yes (or no) counts for more.

    Each label's two answers are weighed against one another; a mean over images and labels.
    """
    logits = full(student_logits_BK)
    weights_K2 = balanced_weights(label_counts_K2, beta).to(logits.dtype)
    weights_BK = torch.where(labels_BK == 1, weights_K2[:, 1], weights_K2[:, 0])
    return F.binary_cross_entropy_with_logits(logits, labels_BK.to(logits.dtype), weights_BK)


def balanced_weights(counts: Tensor, beta: float) -> Tensor:
    """Return the weights of classes with these counts of training images, along the last axis, in float64.

    The mean over the images is 1. A class without an image has weight 0.
    """
    counts = counts.double()
    effective = counts if beta == 1 else (1 - beta**counts) / (1 - beta)
    weights = torch.where(counts > 0, 1 / effective.clamp(min=1e-12), 0.0)
    return weights * counts.sum(-1, keepdim=True) / (weights * counts).sum(-1, keepdim=True)
