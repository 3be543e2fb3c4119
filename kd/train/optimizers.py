"""Optimizers: torch's own, with the arguments a job file may set, and fused kernels on a GPU.

Weight decay falls on all parameters given, or on the first group of ``decay_groups`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from kd.arguments import Fraction, NonNegativeFloat, PositiveFloat

__all__ = ["adam", "adamw", "sgd"]

Parameters: TypeAlias = Iterable[nn.Parameter] | Iterable[dict[str, object]]  # or torch's groups of them

# tokens and positions, by the last part of a parameter's name, in timm, in torchvision and here
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
_EMBEDDINGS = ("cls_token", "dist_token", "pos_embed", "class_token", "positions", "relative_position_bias_table")


def decay_groups(module: nn.Module) -> list[dict[str, object]]:
    """Return the parameters that weight decay falls on, then those that it spares, as an optimizer's groups.

    Spared are norms, biases, class tokens and positions, as ``param_groups_weight_decay`` of timm does for its models:
    what has one dimension, is called a bias, or is an embedding by its name. Empty groups are left out.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        last = name.rpartition(".")[2]
        alone = parameter.ndim <= 1 or last == "bias" or last in _EMBEDDINGS
        (spared if alone else decayed).append(parameter)
    groups: list[dict[str, object]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def speed_up_norm_offsets(optimizer: Optimizer, module: nn.Module, factor: float) -> None:
    """Give the offsets of norms ``factor`` times the learning rate, and as much weight decay a step as before."""
    norms = [child for child in module.modules() if isinstance(child, NORMS)]
    offsets = {id(norm.bias) for norm in norms if norm.bias is not None}
    for group in list(optimizer.param_groups):
        chosen = [parameter for parameter in group["params"] if id(parameter) in offsets]
        if chosen:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in offsets]
            rates = {"lr": group["lr"] * factor, "weight_decay": group["weight_decay"] / factor}
            optimizer.add_param_group({**group, **rates, "params": chosen})


def sgd(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    momentum: Fraction = 0.9,
    weight_decay: NonNegativeFloat = 0.0,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    chosen: Any = list(parameters)
    return SGD(chosen, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=_on_gpu(chosen))


def adam(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adam (arXiv:1412.6980); weight decay is part of the gradient."""
    chosen: Any = list(parameters)
    return Adam(chosen, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay, fused=_on_gpu(chosen))


def adamw(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    weight_decay: NonNegativeFloat = 0.01,
) -> Optimizer:
    """AdamW (arXiv:1711.05101): Adam with decoupled weight decay."""
    chosen: Any = list(parameters)
    return AdamW(chosen, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay, fused=_on_gpu(chosen))


def _on_gpu(chosen: list[Any]) -> bool:
    """Fused updates lose up to a fifth on a CPU and win on a GPU."""
    parameters = [each for one in chosen for each in (one["params"] if isinstance(one, dict) else [one])]
    return all(parameter.is_cuda for parameter in parameters)
