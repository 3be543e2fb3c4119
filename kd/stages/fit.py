"""The path that training and distillation share: data, model, objective, loop, measurement, result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kd.catalog import load
from kd.data.hashing import stream_key
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.teacher import LiveTeacher, load_teacher
from kd.stages.context import StageContext
from kd.stages.data import Data, load_data
from kd.stages.keeper import Keeper
from kd.stages.outcome import conclude, measure_store
from kd.train.batches import AugmentedBatches
from kd.train.device import Runtime, prepare_runtime
from kd.train.loop import fit
from kd.train.meter import Meter
from kd.train.state import Stopwatch, Training
from kd.train.weights import ModelCard


def fit_stage(context: StageContext, spec: Mapping[str, Any], *, teacher_weights: Path | None = None) -> dict[str, Any]:
    """Train the model of ``spec``, with a teacher or without, and return the contents of result.json.

    Continues from ``work/checkpoint/resume.pt`` if there is one. Raises Interrupted when asked to stop, and
    UserError when the data, the teacher or the settings cannot work.
    """
    watch = Stopwatch()
    settings, seed = spec["settings"], spec["seed"]
    runtime = prepare_runtime(precision=settings["precision"], deterministic=settings["deterministic"])
    data = load_data(spec["data"], settings["augment"], staged=context.data_root, device=runtime.device)
    card = _card(settings["model"], data)
    seed_generators("model", seed)  # by the seed alone: all arms with this model start from the same weights
    model = runtime.place(card.build())
    objective = _objective(settings["loss"], model, card, teacher_weights, runtime)
    batches = AugmentedBatches(data.train, batch_size=settings["batch_size"], seed=seed)
    classes = len(data.arrays.classes)
    training = Training(
        model=model,
        optimizer=_from_catalogue("optimizer", settings["optimizer"], model.parameters()),
        meter=Meter(terms=objective.names, steps=batches.steps, num_classes=classes, device=runtime.device),
        total_watch=watch,
    )
    keeper = Keeper(context, spec, steps=batches.steps)
    seed_generators("training", seed)
    keeper.resume(training)
    fit(
        training,
        epochs=settings["epochs"],
        batches=batches,
        objective=objective,
        schedule=_from_catalogue("schedule", settings["schedule"], settings["epochs"]),
        validate=partial(measure_store, store=data.validation, classes=classes, runtime=runtime),
        forward=_compiled(model) if settings["compile"] else model,
        after_step=keeper.after_step,
        after_epoch=keeper.after_epoch,
    )
    return conclude(context, spec, training=training, card=card, data=data, runtime=runtime)


def seed_generators(purpose: str, seed: int) -> None:
    """Seed torch's generators on all devices for a purpose; another purpose gets an unrelated stream."""
    torch.manual_seed(stream_key(purpose, seed))


def _from_catalogue(kind: str, entry: Mapping[str, Any], *inputs: Any) -> Any:
    return load(kind, entry["name"])(*inputs, **entry["arguments"])


def _compiled(model: nn.Module) -> nn.Module:
    compiled = torch.compile(model)
    assert isinstance(compiled, nn.Module)
    return compiled


def _card(model: Mapping[str, Any], data: Data) -> ModelCard:
    return ModelCard(
        name=model["name"],
        arguments=model["arguments"],
        classes=data.arrays.classes,
        in_channels=data.arrays.channels,
        image_size=data.arrays.image_size,
        mean=data.arrays.mean,
        std=data.arrays.std,
    )


def _objective(
    loss: Mapping[str, Any],
    student: nn.Module,
    card: ModelCard,
    teacher_weights: Path | None,
    runtime: Runtime,
) -> WeightedTerms:
    """Return the weighted terms of a spec, with a live teacher where there are weights for one."""
    terms = [make_term(name, entry["weight"], entry["arguments"]) for name, entry in loss.items()]
    teacher = None
    if teacher_weights is not None:
        model, own = load_teacher(teacher_weights, student=card)
        teacher = LiveTeacher(
            runtime.place(model),
            own=own,
            student=card,
            features=any(term.needs("teacher_features") for term in terms),
            autocast=runtime.autocast,
        )
    return WeightedTerms(terms, student=student, teacher=teacher, autocast=runtime.autocast)
