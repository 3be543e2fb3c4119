"""Optimizers: torch's own, with the arguments a job file may set, and fused kernels on a GPU."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from kd.arguments import Fraction, NonNegativeFloat, PositiveFloat

__all__ = ["adam", "adamw", "sgd"]


def sgd(
    parameters: Iterable[nn.Parameter],
    *,
    lr: PositiveFloat,
    momentum: Fraction = 0.9,
    weight_decay: NonNegativeFloat = 0.0,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    chosen = list(parameters)
    return SGD(chosen, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=_on_gpu(chosen))


def adam(
    parameters: Iterable[nn.Parameter],
    *,
    lr: PositiveFloat,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adam (arXiv:1412.6980); weight decay is part of the gradient."""
    chosen = list(parameters)
    return Adam(chosen, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay, fused=_on_gpu(chosen))


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    lr: PositiveFloat,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    weight_decay: NonNegativeFloat = 0.01,
) -> Optimizer:
    """AdamW (arXiv:1711.05101): Adam with decoupled weight decay."""
    chosen = list(parameters)
    return AdamW(chosen, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay, fused=_on_gpu(chosen))


def _on_gpu(parameters: list[nn.Parameter]) -> bool:
    """Fused updates lose up to a fifth on a CPU and win on a GPU."""
    return all(parameter.is_cuda for parameter in parameters)
