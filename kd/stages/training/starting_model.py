"""The model a training starts from: fresh weights, or those of another stage, pruned or made to round as int8 does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from kd.compress.fake_int8 import prepare
from kd.compress.prune import prune_channels
from kd.distill.teacher import load_trained_model
from kd.errors import CheckpointError
from kd.rundir.result_sections import ModelOrigin, ModelSize, Pruning
from kd.rundir.stage_spec import TrainSettings
from kd.stages.context import StageContext
from kd.stages.stage_data import StageData
from kd.stages.trained_model import find_trained_model
from kd.train.weights import ModelCard

LOOKED_AT = 5000  # training images, where a fresh model computes weights from some


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingModel:
    """A model before its first step; ``origin`` is the stage whose weights it starts from."""

    card: ModelCard
    build: Callable[[], nn.Module]
    origin: ModelOrigin | None = None
    pruning: Pruning | None = None


def starting_model(context: StageContext, settings: TrainSettings, data: StageData) -> StartingModel:
    """Return what the settings of a training start from; an interrupted stage gets the same again.

    Raises CheckpointError when the stage it starts from cannot be used, SpecError when it cannot be pruned so.
    """
    fresh = data.card(settings.model)
    if "start" not in context.parents:
        return StartingModel(card=fresh, build=fresh.build)
    found = find_trained_model(context.parents["start"])
    model, own = load_trained_model(found.path, student=fresh)
    if own.seen != fresh.seen:
        raise CheckpointError(
            f"{found.path}: this model sees {_names(own)} of an image, and this stage {_names(fresh)}"
        )
    card = replace(own, mean=fresh.mean, std=fresh.std)
    pruned = None
    if settings.prune is not None:
        image = torch.zeros(card.in_channels, card.image_size, card.image_size)
        pruning = prune_channels(model, image, ratio=settings.prune)
        card = replace(card, widths={**card.widths, **pruning.widths})
        before, after = (ModelSize(**asdict(size)) for size in (pruning.before, pruning.after))
        pruned = Pruning(ratio=settings.prune, before=before, after=after, spared=list(pruning.spared))
    if settings.int8_aware:
        model = prepare(model)
    return StartingModel(card=card, build=lambda: model, origin=found.origin, pruning=pruned)


def let_it_look(model: nn.Module, data: StageData) -> None:
    """Show training images, as they are, to a fresh model that computes weights from them (``look_at``)."""
    look: Callable[[Tensor], None] | None = getattr(model, "look_at", None)
    if look is None:
        return
    images = data.train.batch(torch.arange(min(LOOKED_AT, len(data.train))))
    look(images if data.channels is None else images[:, list(data.channels)])


def _names(card: ModelCard) -> str:
    return " and ".join(name for name, _ in card.seen)
