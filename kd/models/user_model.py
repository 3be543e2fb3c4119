"""A model of the user's own, imported in the job: built with what it takes of what the data set tells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kd.errors import SpecError, shown
from kd.user_code.definitions import SUPPLIED, read_entry
from kd.user_code.importing import import_entry, users_errors


def user_model(
    num_classes: int, in_channels: int, image_size: int, /, *, module: str, attribute: str, **arguments: Any
) -> nn.Module:
    """Import ``module`` and call its ``attribute`` with the arguments and what it takes of the first three.

    Raises SpecError, with the line of the user's file, when it cannot be imported or called, gives no module, or its
    module gives other logits than [B, num_classes].
    """
    found = read_entry("model", module, attribute)
    place = f"{found.source.place}:{found.line}"
    given = dict(zip(SUPPLIED["model"], (num_classes, in_channels, image_size), strict=True))
    make = import_entry(module, attribute)
    with users_errors(found.name, module):
        made = make(**{key: given[key] for key in found.signature.supplied}, **arguments)
    if not isinstance(made, nn.Module):
        raise SpecError([f"{place}: {found.name} gives {shown(made)}, which is no torch.nn.Module"])
    with users_errors(found.name, module):
        logits = _tried(made, torch.zeros(2, in_channels, image_size, image_size))
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, num_classes):
        gives = f"of shape {list(logits.shape)}" if isinstance(logits, Tensor) else f"as {type(logits).__name__}"
        raise SpecError([f"{place}: {found.name} gives logits {gives} for 2 images; [2, {num_classes}] is expected"])
    return made


def _tried(model: nn.Module, images_BCHW: Tensor) -> Any:
    """Return what a model makes of images, with its state and torch's random numbers as they were."""
    training = model.training
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        logits = model.eval()(images_BCHW)
    model.train(training)
    return logits
