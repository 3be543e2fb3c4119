"""How several teachers are weighed: the catalogue's entries of kind "weighting".

Each function takes the number of teachers and of classes and returns a function from logits [B, M, C] and labels [B] to
weights [B, M], each row of sum 1.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from kd.arguments import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from kd.distill.ensemble import Weighting
from kd.distill.gate import Gate
from kd.errors import SpecError

__all__ = ["entropy", "fixed", "gate", "label", "uniform"]


def uniform(teachers: int, num_classes: int) -> Weighting:
    """All teachers count the same: the mean of their probabilities."""
    return fixed(teachers, num_classes, shares=[1.0] * teachers)


def fixed(teachers: int, num_classes: int, *, shares: list[NonNegativeFloat]) -> Weighting:
    """Each teacher has its share, in the order in which the job names them; shares of any sum above 0."""
    if len(shares) != teachers or sum(shares) <= 0:
        raise SpecError([f"weighting: {teachers} shares of a sum above 0 are needed, not {shares}"])
    weights_M = (torch.tensor(shares, dtype=torch.float64) / sum(shares)).float()

    @lru_cache(maxsize=1)  # a copy in every step would make each wait for the device
    def weights_on(device: torch.device) -> Tensor:
        return weights_M.to(device)

    def weigh(logits_BMC: Tensor, labels_B: Tensor) -> Tensor:
        return weights_on(logits_BMC.device).expand(len(logits_BMC), -1)

    return weigh


def entropy(teachers: int, num_classes: int, *, sharpness: PositiveFloat = 1.0) -> Weighting:
    """Who is surer counts more: weights softmax over the teachers of -sharpness * entropy of their probabilities."""

    def weigh(logits_BMC: Tensor, labels_B: Tensor) -> Tensor:
        log_p = logits_BMC.log_softmax(-1)
        return (sharpness * (log_p.exp() * log_p).sum(-1)).softmax(1)

    return weigh


def label(teachers: int, num_classes: int, *, sharpness: PositiveFloat = 1.0) -> Weighting:
    """Who gives the true class more counts more: weights in the ratio of p_m(label) ** sharpness, per image.

    The idea of confidence-aware distillation (Zhang et al. 2022, arXiv:2201.00007) without its rescaling, so that one
    teacher alone has weight 1. Needs hard labels.
    """

    def weigh(logits_BMC: Tensor, labels_B: Tensor) -> Tensor:
        own = labels_B[:, None, None].expand(-1, teachers, 1)
        return (sharpness * logits_BMC.log_softmax(-1).gather(2, own).squeeze(2)).softmax(1)

    return weigh


def gate(
    teachers: int,
    num_classes: int,
    *,
    hidden: PositiveInt = 128,
    dropout: Fraction = 0.2,
    beta: NonNegativeFloat = 0.01,
    epochs: PositiveInt = 30,
    lr: PositiveFloat = 1e-3,
) -> Weighting:
    """A small network weighs the teachers by their outputs; it is trained on held-out images beforehand."""
    return Gate(teachers, num_classes, hidden=hidden, dropout=dropout, beta=beta, epochs=epochs, lr=lr)
