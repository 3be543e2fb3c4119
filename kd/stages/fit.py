"""The path that training and distillation share: data, model, objective, loop, measurement, result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from kd.catalog import load
from kd.data.hashing import stream_key
from kd.data.mixing import Mixing
from kd.distill.adapters import train_beside
from kd.distill.objective import WeightedTerms, make_term
from kd.errors import SpecError
from kd.evaluate.metrics import selecting_metric
from kd.losses.inputs import ADAPTER, needs_features
from kd.stages.context import StageContext
from kd.stages.data import Data, load_data
from kd.stages.fitting import require_fitting
from kd.stages.keeper import make_keeper, patience_of
from kd.stages.outcome import Trained, conclude, measure_store
from kd.stages.start import starting_point
from kd.stages.teachers import Place, Teachers
from kd.stages.team import team
from kd.train.average import WeightAverage
from kd.train.batch_norm import share_batch_norm
from kd.train.batches import AugmentedBatches
from kd.train.device import free_memory, prepare_runtime
from kd.train.distributed import Processes
from kd.train.loop import fit
from kd.train.memory import memory_for
from kd.train.meter import Meter
from kd.train.schedules import Schedule, stretched
from kd.train.state import Row, Stopwatch, Training


def fit_stage(context: StageContext, spec: Mapping[str, Any], *, teachers: Teachers | None = None) -> dict[str, Any]:
    """Train the model of ``spec``, with a teacher or without, and return the contents of result.json.

    Continues from ``work/checkpoint/resume.pt`` if there is one. Raises Interrupted when asked to stop, and
    UserError when the data, the teacher or the settings cannot work.
    """
    try:
        return _train_and_conclude(context, spec, teachers)
    finally:
        free_memory()  # the next stage of this process, if there is one, has the whole device


def _train_and_conclude(context: StageContext, spec: Mapping[str, Any], teachers: Teachers | None) -> dict[str, Any]:
    """Train with all processes; then the first one alone measures and writes."""
    with team(context, spec["resources"].get("gpus", 1)) as processes:
        trained = train_model(context, spec, teachers, processes)
    return conclude(context, spec, trained, processes=processes.count) if processes.rank == 0 else {}


def train_model(
    context: StageContext,
    spec: Mapping[str, Any],
    teachers: Teachers | None,
    processes: Processes,
    *,
    data: Data | None = None,
) -> Trained:
    """Train the model of ``spec`` to its end, on this process's share of every batch.

    ``data`` are those of the spec where they were loaded before. Raises as ``fit_stage``.
    """
    watch = Stopwatch()
    settings, seed = spec["settings"], spec["seed"]
    runtime = prepare_runtime(
        precision=settings["precision"], deterministic=settings["deterministic"], processes=processes.count
    )
    if data is None:
        data = load_stage_data(context, spec, teachers, runtime.device)
    require_fitting(settings, data.arrays)
    start = starting_point(context, settings, data)
    card = start.card
    seed_generators("model", seed)  # by the seed alone: all arms with this model start from the same weights
    model = runtime.place(start.build())
    if processes.several:
        share_batch_norm(model)
    batches = _batches(spec, data, teachers, processes)
    place = Place(card=card, data=data, runtime=runtime, processes=processes)
    objective = _objective(spec, model, batches, teachers, place, history=lambda: training.rows)
    training = _new_training(settings, model, objective, batches.steps, place, watch)
    keeper = make_keeper(context, spec, steps=batches.steps, processes=processes)
    seed_generators("training", seed)
    keeper.resume(training)
    processes.require_equal(training.epoch, training.step)
    with memory_for(f"training with batch_size {settings['batch_size']}", "lower batch_size, or set accumulate"):
        fit(
            training,
            epochs=settings["epochs"],
            batches=batches,
            objective=objective,
            schedule=_schedule(settings),
            validate=partial(measure_store, store=data.validation, card=card, runtime=runtime, processes=processes),
            forward=_compiled(model) if settings["compile"] else model,
            patience=patience_of(settings),
            clip=settings.get("clip"),
            accumulate=_parts_of(batches.batch_size, settings.get("accumulate", 1), processes),
            processes=processes,
            after_step=keeper.after_step,
            after_epoch=keeper.after_epoch,
        )
    return Trained(training=training, card=card, data=data, runtime=runtime, facts=start.facts)


def _parts_of(batch_size: int, accumulate: int, processes: Processes) -> int:
    """Return in how many parts each process computes its share of a batch. Raises SpecError when they are not equal."""
    if batch_size % (accumulate * processes.count):
        whole = "" if processes.count == 1 else f" on {processes.count} GPUs"
        raise SpecError(
            [f"accumulate: a batch of {batch_size} images cannot be cut into {accumulate} equal parts{whole}"]
        )
    return accumulate


def load_stage_data(
    context: StageContext, spec: Mapping[str, Any], teachers: Teachers | None, device: torch.device
) -> Data:
    """Return the data that the model of ``spec`` learns from, and that its teachers see. Raises as ``load_data``."""
    settings = spec["settings"]
    remedy = "give the stage more memory (resources.memory), or use fewer images (data.train_subset)"
    with memory_for(f"the images of {spec['data']['name']} are loaded", remedy):
        return load_data(
            spec["data"],
            settings["augment"],
            staged=context.data_root,
            device=device,
            modalities=settings.get("modalities"),
            privileged=teachers is not None and teachers.any_live,
        )


def _batches(spec: Mapping[str, Any], data: Data, teachers: Teachers | None, processes: Processes) -> AugmentedBatches:
    return AugmentedBatches(
        data.train,
        batch_size=spec["settings"]["batch_size"],
        seed=spec["seed"],
        mixing=_mixing(spec["settings"]),
        cached_views=teachers.views if teachers else None,
        channels=data.channels,
        processes=processes,
    )


def _new_training(
    settings: Mapping[str, Any],
    model: nn.Module,
    objective: WeightedTerms,
    steps: int,
    place: Place,
    watch: Stopwatch,
) -> Training:
    """Return a training that stands at its first step."""
    optimizer = _from_catalogue("optimizer", settings["optimizer"], model.parameters())
    train_beside(optimizer, objective.adapters)
    return Training(
        model=model,
        optimizer=optimizer,
        meter=Meter(
            terms=objective.names,
            steps=steps,
            num_classes=len(place.card.classes),
            device=place.runtime.device,
            multi_label=place.card.multi_label,
        ),
        metric=selecting_metric(multi_label=place.card.multi_label),
        adapters=objective.adapters,
        average=WeightAverage(model, settings["ema"]["decay"]) if "ema" in settings else None,
        scaler=place.runtime.scaler(),
        total_watch=watch,
    )


def seed_generators(purpose: str, seed: int) -> None:
    """Seed torch's generators on all devices for a purpose; another purpose gets an unrelated stream."""
    torch.manual_seed(stream_key(purpose, seed))


def _from_catalogue(kind: str, entry: Mapping[str, Any], *inputs: Any) -> Any:
    return load(kind, entry["name"])(*inputs, **entry["arguments"])


def _schedule(settings: Mapping[str, Any]) -> Schedule:
    """Return the learning-rate schedule; a trial of a search goes through its stage's whole one in fewer epochs."""
    whole = settings.get("schedule_epochs", settings["epochs"])
    schedule: Schedule = _from_catalogue("schedule", settings["schedule"], whole)
    return schedule if whole == settings["epochs"] else stretched(schedule, whole / settings["epochs"])


def _mixing(settings: Mapping[str, Any]) -> Mixing | None:
    """Return how batches are mixed, or None: options that are off are absent from the settings."""
    alphas = {name: settings[name]["alpha"] for name in ("mixup", "cutmix") if name in settings}
    return Mixing(**alphas) if alphas else None


def _compiled(model: nn.Module) -> nn.Module:
    compiled = torch.compile(model)
    assert isinstance(compiled, nn.Module)
    return compiled


def _objective(
    spec: Mapping[str, Any],
    student: nn.Module,
    batches: AugmentedBatches,
    teachers: Teachers | None,
    place: Place,
    history: Callable[[], Sequence[Row]],
) -> WeightedTerms:
    """Return the weighted terms of a spec, with its teachers where it has some, and with the terms' adapters.

    ``history`` gives the rows of the finished epochs, which temperatures may follow.
    """
    loss = spec["settings"]["loss"]
    terms = [make_term(name, entry["weight"], entry["arguments"]) for name, entry in loss.items()]
    owned = any(term.needs(*ADAPTER) for term in terms)
    example = next(batches.epoch(0)) if owned else None
    features = any(needs_features(term.inputs) for term in terms)
    teacher = teachers.build(place, features=features) if teachers else None
    seed_generators("adapters", spec["seed"])
    return WeightedTerms(
        terms,
        student=student,
        teacher=teacher,
        autocast=place.runtime.autocast,
        example=example,
        labels_N=place.data.train.labels,
        gather=place.processes.gather,
        temperature=_temperature(spec["settings"], history),
    )


def _temperature(settings: Mapping[str, Any], history: Callable[[], Sequence[Row]]) -> Callable[[int], float] | None:
    """Return the temperature by epoch, or None where each loss keeps its own."""
    if "temperature" not in settings:
        return None
    entry = settings["temperature"]
    schedule = load("temperature", entry["name"])

    def temperature(epoch: int) -> float:
        losses = [row["val_loss"] for row in history()]
        value: float = schedule(epoch, settings["epochs"], losses, **entry["arguments"])
        return value

    return temperature
