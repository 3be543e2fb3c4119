"""A live teacher: a frozen, trained network that looks at exactly the views that the student sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.distill.features import FeatureTaps
from kd.errors import CheckpointError
from kd.train.step import Batch
from kd.train.weights import ModelCard, load_model


def load_teacher(weights: Path, *, student: ModelCard) -> tuple[nn.Module, ModelCard]:
    """Rebuild a teacher from its weights.

    Raises CheckpointError when they are missing or damaged, or when the teacher was trained for other classes
    or other images than the student.
    """
    model, card = load_model(weights)
    for what in ("classes", "in_channels", "image_size"):
        theirs, ours = getattr(card, what), getattr(student, what)
        if theirs != ours:
            raise CheckpointError(
                f"{weights}: this teacher ({card.name}) was trained for {what} {_short(theirs)}, "
                f"the student has {_short(ours)}; choose a teacher of the same data"
            )
    return model, card


def _short(value: Any) -> str:
    return f"{len(value)} ({', '.join(value[:3])}, ...)" if isinstance(value, tuple) else str(value)


class LiveTeacher:
    """Runs the teacher on every batch: evaluation mode, no gradients, its own normalisation."""

    def __init__(
        self,
        model: nn.Module,
        *,
        own: ModelCard,
        student: ModelCard,
        features: bool = False,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._autocast = autocast
        self._taps = FeatureTaps(model) if features else None
        self._rescale = None if (own.mean, own.std) == (student.mean, student.std) else _rescale(own, student, model)

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Return ``teacher_logits_BC`` (float32) and, where asked for, ``teacher_features``."""
        with torch.inference_mode(), self._autocast():
            images = batch.images
            if self._rescale:
                scale, shift = self._rescale
                images = images * scale + shift
            logits = self._model(images)
        given: dict[str, Any] = {"teacher_logits_BC": _usable(logits).float()}
        if self._taps:
            given["teacher_features"] = {name: _usable(feature) for name, feature in self._taps.collect().items()}
        return given


def _usable(tensor: Tensor) -> Tensor:
    """Return a copy that a loss may keep for its gradient; a tensor of inference_mode may not be."""
    return tensor.clone()


def _rescale(own: ModelCard, student: ModelCard, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return factor and offset [C, 1, 1] that turn the student's normalised pixels into the teacher's."""
    device = next(model.parameters()).device

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)

    scale = column(student.std) / column(own.std)
    shift = (column(student.mean) - column(own.mean)) / column(own.std)
    return scale.float().to(device), shift.float().to(device)
