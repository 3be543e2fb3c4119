"""What losses on logits do to them: soften, standardise, compare. Logits are [B, C], or [..., C] where so written."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.losses.mixture import Transform
from kd.losses.numerics import unit


def softening(temperature: float | Tensor, *, standardise: bool = False) -> Transform:
    """Return what divides logits [..., C] by a temperature, and before that standardises them where asked for."""
    return lambda logits: (standardised(logits) if standardise else logits) / temperature


def standardised(logits: Tensor) -> Tensor:
    """Return (z - mean) / deviation over the classes, the deviation with C - 1 in its denominator; 0 where it is 0."""
    centred = logits - logits.mean(-1, keepdim=True)
    return unit(centred, dim=-1) * math.sqrt(logits.shape[-1] - 1)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of the softmax of logits [B, C], summed over classes, averaged over samples."""
    return F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="batchmean", log_target=True)


def divergences(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the same of each sample [B]."""
    return F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).sum(1)


def others(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Return the logits [B, C - 1] of all classes but the true one."""
    columns = torch.arange(logits_BC.shape[1] - 1, device=logits_BC.device).expand(len(logits_BC), -1)
    return logits_BC.gather(1, columns + (columns >= labels_B[:, None]))
