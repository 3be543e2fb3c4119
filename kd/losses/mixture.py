"""What several teachers say of a batch: their softened probabilities mixed by weights, p = sum_m w_m softmax(z_m / T).

The mixture is made inside each loss, where its transform of the logits (a temperature, standardising) is known: first
the transform of each teacher, then the mean. So no teacher counts for more because its logits are larger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor
from torch.nn.functional import logsigmoid

from kd.losses.numerics import target


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Logits [B, M, C] of M teachers and their weights [B, M], each row of sum 1."""

    logits_BMC: Tensor
    weights_BM: Tensor


Teaching: TypeAlias = Tensor | Mixture  # logits [B, C] of one teacher, or those of several
Transform: TypeAlias = Callable[[Tensor], Tensor]  # logits [..., C] -> logits [..., C]


def taught(teaching: Teaching, transform: Transform) -> Tensor:
    """Return logits [B, C] whose softmax is that of the teacher's transformed logits, or the mixture of several's.

    They are in full precision and cut off from the teachers.
    """
    if isinstance(teaching, Tensor):
        return transform(target(teaching))
    log_shares = transform(target(teaching.logits_BMC)).log_softmax(-1) + target(teaching.weights_BM).log()[:, :, None]
    return log_shares.logsumexp(1)


def taught_labels(teaching: Teaching, transform: Transform) -> Tensor:
    """Return the same of labels [B, K]: logits whose sigmoid is the teacher's, or the teachers' weighted mean."""
    if isinstance(teaching, Tensor):
        return transform(target(teaching))
    logits, log_weights = transform(target(teaching.logits_BMC)), target(teaching.weights_BM).log()[:, :, None]
    yes, no = ((logsigmoid(sign * logits) + log_weights).logsumexp(1) for sign in (1, -1))
    return yes - no


def over_teachers(teaching: Teaching, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a number of each image [B] of a teacher's logits [..., C], or the weighted mean of several teachers'."""
    if isinstance(teaching, Tensor):
        return value(target(teaching))
    return (target(teaching.weights_BM) * value(target(teaching.logits_BMC))).sum(1)
