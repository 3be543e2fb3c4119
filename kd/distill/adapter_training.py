"""Building the modules that losses own, from outputs that were seen, and training them beside the student."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from torch import nn
from torch.optim import Optimizer

from kd.losses.builders import BUILDERS
from kd.train.optimizers import decay_groups


def build_adapter(loss: str, seen: Mapping[str, object], arguments: Mapping[str, object]) -> nn.Module:
    """Return the adapter of a loss of the catalogue.

    ``seen`` are the outputs of a dry run, and ``labels_N``, by the names of kd.losses.inputs; ``arguments`` are those
    of the loss. Fresh weights come from torch's global generator.
    """
    parameters = inspect.signature(BUILDERS[loss]).parameters.values()
    inputs = [seen[p.name] for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    return BUILDERS[loss](*inputs, **{p.name: arguments[p.name] for p in parameters if p.name in arguments})


def train_beside(optimizer: Optimizer, adapters: nn.Module) -> None:
    """Let the student's optimizer train adapters too, at its learning rate; their norms and biases do not decay.

    That is so whether or not the student's decay (``kd.train.optimizers.decay_groups``).
    """
    for group in decay_groups(adapters):
        optimizer.add_param_group(group)
