"""What a training starts from: fresh weights, or those of another stage, pruned or made to round as int8 does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from kd.compress.fake_int8 import prepare
from kd.compress.prune import prune_channels
from kd.distill.teacher import load_teacher
from kd.errors import CheckpointError
from kd.stages.context import StageContext
from kd.stages.data import Data
from kd.stages.teachers import find_teacher
from kd.train.weights import ModelCard


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A model before its first step. ``facts`` are what a result tells of how it came about."""

    card: ModelCard
    build: Callable[[], nn.Module]
    facts: Mapping[str, Any] = field(default_factory=dict)


def starting_point(context: StageContext, settings: Mapping[str, Any], data: Data) -> Start:
    """Return what the settings of a training start from; an interrupted stage gets the same again.

    Raises CheckpointError when the stage it starts from cannot be used, SpecError when it cannot be pruned so.
    """
    fresh = data.card(settings["model"])
    if "start" not in context.parents:
        return Start(card=fresh, build=fresh.build)
    found = find_teacher(context.parents["start"])
    model, own = load_teacher(found.path, student=fresh)
    if own.seen != fresh.seen:
        raise CheckpointError(
            f"{found.path}: this model sees {_names(own)} of an image, and this stage {_names(fresh)}"
        )
    card = replace(own, mean=fresh.mean, std=fresh.std)
    facts: dict[str, Any] = {"start": dict(found.facts)}
    if "prune" in settings:
        image = torch.zeros(card.in_channels, card.image_size, card.image_size)
        pruning = prune_channels(model, image, ratio=settings["prune"])
        card = replace(card, widths={**card.widths, **pruning.widths})
        sizes = {"before": asdict(pruning.before), "after": asdict(pruning.after)}
        facts["pruning"] = {"ratio": settings["prune"], **sizes, "spared": list(pruning.spared)}
    if settings.get("int8_aware"):
        model = prepare(model)
    return Start(card=card, build=lambda: model, facts=facts)


def started_from(model: nn.Module) -> dict[str, Any]:
    """Return what a result tells of the trained weights that a model was built with; nothing where it began fresh."""
    facts: Mapping[str, Any] | None = getattr(model, "started_from", None)
    return {"pretrained": dict(facts)} if facts else {}


def _names(card: ModelCard) -> str:
    return " and ".join(name for name, _ in card.seen)
