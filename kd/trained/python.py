"""What a notebook needs: ``kd.load``, ``kd.predict``, ``kd.model``. docs/python.md has an example of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd import catalog
from kd.errors import UserError
from kd.trained.open_model import TrainedModel, open_model
from kd.user_code.names import allow

__all__ = ["Prediction", "load", "model", "predict"]

BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model makes of one image.

    ``label`` is the most probable class; where an image may have several labels, those with a probability above 1/2,
    joined by commas. ``probabilities`` has every class in the model's order.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]


def load(path: str | Path, *, allow_code: bool = False) -> TrainedModel:
    """Open a stage folder, a file of weights saved by kd or an exported ONNX file; see ``TrainedModel``.

    With ``allow_code`` the code of somebody else's run may be run, where its network is of their own.
    """
    return open_model(path, allow_code=allow_code)


def predict(
    trained: TrainedModel | str | Path, images: Iterable[str | Path | Tensor], *, allow_code: bool = False
) -> list[Prediction]:
    """Return what a model makes of each image: files, or uint8 tensors [C, H, W]. ``allow_code`` as in ``load``.

    Raises DataError when a file is no image, CheckpointError when the model cannot be used.
    """
    opened = trained if isinstance(trained, TrainedModel) else open_model(trained, allow_code=allow_code)
    waiting = list(images)
    found: list[Prediction] = []
    for first in range(0, len(waiting), BATCH):
        batch = torch.stack([opened.transform(image) for image in waiting[first : first + BATCH]])
        with torch.inference_mode():
            logits = opened(batch).float()
        found += [_prediction(opened, row) for row in logits.cpu()]
    return found


def _prediction(trained: TrainedModel, logits_C: Tensor) -> Prediction:
    several = trained.card.multi_label
    probabilities = logits_C.sigmoid() if several else logits_C.softmax(dim=0)
    named = dict(zip(trained.classes, probabilities.tolist(), strict=True))
    best = max(named, key=named.__getitem__)
    label = ", ".join(name for name, value in named.items() if value > 0.5) if several else best
    return Prediction(label=label, probability=named[best], probabilities=named)


def model(name: str, *, num_classes: int, in_channels: int = 3, image_size: int = 32, **arguments: Any) -> nn.Module:
    """Build a network of the catalogue with fresh weights, or with ``pretrained=True`` those of a library.

    ``name`` may be that of your own code, ``mypackage.nets:MyNet``. Raises UserError, with the nearest name, when there
    is no such network or it takes no such argument.
    """
    entry = catalog.find("model", name)
    if entry is None:
        raise UserError(catalog.unknown("model", name).replace("unknown model", "no model", 1))
    allow(entry.name)
    if faults := [message for _, message in catalog.check_arguments(entry, "model", arguments, own=())]:
        raise UserError("; ".join(faults))
    network: nn.Module = catalog.load("model", name)(num_classes, in_channels, image_size, **arguments)
    return network
