"""Building the modules that losses own, from outputs that were seen, and training them beside the student."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from kd.losses.adapters import BUILDERS


def build_adapter(loss: str, seen: Mapping[str, Any], arguments: Mapping[str, Any]) -> nn.Module:
    """Return the adapter of a loss of the catalogue.

    ``seen`` are the outputs of a dry run, and ``labels_N``, by the names of kd.losses.inputs; ``arguments`` are those
    of the loss. Fresh weights come from torch's global generator.
    """
    parameters = inspect.signature(BUILDERS[loss]).parameters.values()
    inputs = [seen[p.name] for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    return BUILDERS[loss](*inputs, **{p.name: arguments[p.name] for p in parameters if p.name in arguments})


def train_beside(optimizer: Optimizer, adapters: nn.Module) -> None:
    """Let the student's optimizer train adapters too: as it trains the student, scales and offsets without decay."""
    parameters = list(adapters.parameters())
    for group in (
        {"params": [parameter for parameter in parameters if parameter.dim() > 1]},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0},
    ):
        if group["params"]:
            optimizer.add_param_group(group)
