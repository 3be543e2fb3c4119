"""A live teacher: a frozen, trained network that looks at exactly the views that the student sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.data.modalities import channels_of
from kd.distill.features import FeatureTaps, norms_before_activation
from kd.errors import CheckpointError
from kd.losses.inputs import LossInputs
from kd.train.step import Batch
from kd.train.weights import ModelCard, load_model


def load_trained_model(weights: Path, *, student: ModelCard) -> tuple[nn.Module, ModelCard]:
    """Rebuild a teacher from its weights. ``student`` describes the images that it will be shown.

    Raises CheckpointError when they are missing or damaged, or when the teacher was trained for other classes
    or other images; to see only some of the images' modalities is no fault.
    """
    model, card = load_model(weights)
    modalities = "in_channels" if len(card.seen) == len(student.seen) == 1 else "seen"
    for what in ("classes", "multi_label", modalities, "image_size"):
        theirs, ours = getattr(card, what), getattr(student, what)
        if theirs != ours and not (what == "seen" and set(theirs) <= set(ours)):
            raise CheckpointError(
                f"{weights}: this teacher ({card.name}) was trained for {_WORDS.get(what, what)} {_short(theirs)}, "
                f"the student has {_short(ours)}; choose a teacher of the same data"
            )
    return model, card


_WORDS = {"seen": "modalities"}


def _short(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    names = [name if isinstance(name, str) else name[0] for name in value]
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


class LiveTeacher:
    """Runs the teacher on every batch: evaluation mode, no gradients, its own channels and normalisation.

    ``student`` is the card of the images that the batches bring: of their privileged images, where they have such.
    ``constants`` is what the builders of adapters may ask of it (``kd.losses.inputs.DATA``).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        own: ModelCard,
        student: ModelCard,
        features: bool = False,
        preactivations: bool = False,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._autocast = autocast
        tapped = features or preactivations
        self._taps = FeatureTaps(model, preactivations=preactivations) if tapped else None
        self.constants = {"teacher_norms": norms_before_activation(model)} if preactivations else {}
        chosen = None if own.seen == student.seen else channels_of(student.seen, own.seen)
        device = next(model.parameters()).device
        self._channels = None if chosen is None else torch.tensor(chosen, device=device)
        self._rescale = _rescale(own, student, chosen, device)
        _multiply_in(model, autocast)

    def __call__(self, batch: Batch) -> LossInputs:
        """Return ``teacher_logits_BC`` (float32) and, where asked for, ``teacher_features``."""
        with torch.inference_mode(), self._autocast():
            images = batch.images if batch.privileged is None else batch.privileged
            if self._channels is not None:
                images = images.index_select(1, self._channels)
            if self._rescale:
                scale, shift = self._rescale
                images = images * scale + shift
            logits = self._model(images)
        given: LossInputs = {"teacher_logits_BC": _usable(logits).float()}
        if self._taps:
            given["teacher_features"] = {name: _usable(feature) for name, feature in self._taps.collect().items()}
        return given


def _multiply_in(model: nn.Module, autocast: Callable[[], AbstractContextManager[object]]) -> None:
    """Cast what autocast would cast in every step, once: weights and biases of convolutions and linear layers.

    Autocast keeps the casts of trained weights for a step, of frozen ones never. Outputs stay the same bits.
    """
    device = next(model.parameters()).device.type
    with autocast():
        if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
            return
        dtype = torch.get_autocast_dtype(device)
    for module in model.modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            module.to(dtype)


def _usable(tensor: Tensor) -> Tensor:
    """Return a copy that a loss may keep for its gradient; a tensor of inference_mode may not be."""
    return tensor.clone()


def _rescale(
    own: ModelCard, student: ModelCard, channels: Sequence[int] | None, device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """Return factor and offset [C, 1, 1] from the student's normalised pixels to the teacher's; None if equal."""
    mean, std = (
        values if channels is None else tuple(values[number] for number in channels)
        for values in (student.mean, student.std)
    )
    if (own.mean, own.std) == (mean, std):
        return None

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)

    scale = column(std) / column(own.std)
    shift = (column(mean) - column(own.mean)) / column(own.std)
    return scale.float().to(device), shift.float().to(device)
