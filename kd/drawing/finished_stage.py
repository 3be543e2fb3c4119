"""A finished stage, opened again to look at its model: the part that the drawing commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kd.data.store import DeviceStore
from kd.drawing.drawn_images import batches
from kd.errors import RunError
from kd.permitted_code import permit_code
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import read_spec
from kd.stages.stage_data import load_data
from kd.train.weights import ModelCard, load_model, named_model


def some_images(text: str) -> int:
    """Return the number of images of a command line. Raises ArgumentTypeError unless it is 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of images, at least 1, got {text!r}")
    return int(text)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinishedStage:
    """The best model of a stage, on the CPU, and the validation images as it sees them."""

    model: nn.Module
    card: ModelCard
    validation: DeviceStore

    def batches(self, images: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return (images, labels) of the first ``images`` validation images, in their order."""
        return batches(self.validation, images)


def open_finished_stage(folder: StageFolder) -> FinishedStage:
    """Open a stage folder. Raises RunError when it has trained no model, UserError when its data cannot be read."""
    if not folder.best.is_file():
        raise RunError(f"{folder.path}: no stage that has trained a model")
    spec = read_spec(folder)
    permit_code(folder.path, [named_model(folder.best), *([spec.data.name] if spec.data else [])], allow_code=False)
    model, card = load_model(folder.best)
    data = load_data(
        spec.data,
        staged=None,
        device=torch.device("cpu"),
        modalities=[name for name, _ in card.seen],
    )
    return FinishedStage(model=model, card=card, validation=data.validation)
