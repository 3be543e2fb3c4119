"""The path that training and distillation share: data, model, objective, loop, measurement, result."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any

import torch
from torch import nn

from kd.catalog import load
from kd.data.mixing import Mixing
from kd.distill.adapter_training import train_beside
from kd.distill.objective import WeightedTerms
from kd.drawing.drawn_images import require_drawable
from kd.errors import SpecError
from kd.evaluate.metrics import selecting_metric
from kd.rundir.result_sections import FoundSettings
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import Component, StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.measurement import measure_store
from kd.stages.stage_data import StageData, load_data
from kd.stages.training.checkpoint_keeper import make_keeper, patience_of
from kd.stages.training.measure_and_publish import Trained, loaded_weights, measure_and_publish
from kd.stages.training.model_fits_data import require_fitting
from kd.stages.training.process_team import process_team
from kd.stages.training.seeds import seed_generators, seed_of
from kd.stages.training.stage_objective import stage_objective
from kd.stages.training.stage_teachers import StageTeachers, TrainingSetup
from kd.stages.training.starting_model import StartingModel, let_it_look, starting_model
from kd.stages.training.step_forms import called, compiled_code_of, form_of, report_fallback, step_form
from kd.train.average import WeightAverage
from kd.train.batch_norm import share_batch_norm
from kd.train.batches import AugmentedBatches
from kd.train.device import Runtime, free_memory, prepare_runtime
from kd.train.distributed import Processes
from kd.train.loop import fit
from kd.train.memory import memory_for
from kd.train.meter import Meter
from kd.train.optimizers import decay_groups, speed_up_norm_offsets
from kd.train.schedules import Schedule, stretched
from kd.train.state import Stopwatch, Training
from kd.train.user_augmentation import NormalisedAugmentation


def fit_stage(
    context: StageContext,
    spec: StageSpec[TrainSettings],
    *,
    teachers: StageTeachers | None = None,
    found: FoundSettings | None = None,
) -> StageResult | None:
    """Train the model of ``spec``, with teachers or without, and return the result; None in further processes.

    ``found`` are the settings that a search chose. Continues from ``work/checkpoint/resume.pt`` if there is one. Raises
    Interrupted when asked to stop, and UserError when the data, a teacher or the settings cannot work.
    """
    try:
        with process_team(context, spec.resources.gpus) as processes:
            trained = train_model(context, spec, teachers, processes)
        if processes.rank:
            return None
        return measure_and_publish(context, spec, trained, teachers=teachers, found=found, processes=processes.count)
    finally:
        free_memory()  # the next stage of this process, if there is one, has the whole device


def train_model(
    context: StageContext,
    spec: StageSpec[TrainSettings],
    teachers: StageTeachers | None,
    processes: Processes,
    *,
    data: StageData | None = None,
) -> Trained:
    """Train the model of ``spec`` to its end, on this process's share of every batch.

    ``data`` are those of the spec where they were loaded before. Raises as ``fit_stage``.
    """
    watch = Stopwatch()
    settings, seed = spec.settings, seed_of(spec)
    runtime = prepare_runtime(
        precision=settings.precision, deterministic=settings.deterministic, processes=processes.count
    )
    if data is None:
        data = load_stage_data(context, spec, teachers, runtime.device)
    require_fitting(settings, data.arrays)
    start = starting_model(context, settings, data)
    model = _initial_model(start, seed, runtime, processes)
    if start.origin is None and loaded_weights(model) is None:
        let_it_look(model, data)
    require_drawable(model, data.validation, settings.draw)
    batches = _batches(spec, data, teachers, processes)
    setup = TrainingSetup(card=start.card, data=data, runtime=runtime, processes=processes)
    objective = stage_objective(spec, model, batches, teachers, setup, history=lambda: training.rows)
    training = _new_training(settings, model, objective, batches.steps, setup, watch)
    _train_to_the_end(context, spec, training, objective, batches, setup)
    return Trained(
        training=training,
        card=start.card,
        data=data,
        runtime=runtime,
        origin=start.origin,
        pruning=start.pruning,
        steps=step_form(settings, setup) if settings.compile else None,
    )


def _initial_model(start: StartingModel, seed: int, runtime: Runtime, processes: Processes) -> nn.Module:
    seed_generators("model", seed)  # by the seed alone: all arms with this model start from the same weights
    model = runtime.place(start.build())
    if processes.several:
        share_batch_norm(model)
    return model


def _train_to_the_end(
    context: StageContext,
    spec: StageSpec[TrainSettings],
    training: Training,
    objective: WeightedTerms,
    batches: AugmentedBatches,
    setup: TrainingSetup,
) -> None:
    """Train from the last checkpoint, or from the start, until all epochs are done. Raises Interrupted."""
    settings, processes, form = spec.settings, setup.processes, step_form(spec.settings, setup)
    report_fallback(settings, form)
    keeper = make_keeper(context, spec, steps=batches.steps, processes=processes)
    seed_generators("training", seed_of(spec))
    keeper.resume(training)
    processes.require_equal(training.epoch, training.step)
    memory = memory_for(f"training with batch_size {settings.batch_size}", "lower batch_size, or set accumulate")
    with closing(keeper), memory, compiled_code_of(context):
        fit(
            training,
            epochs=settings.epochs,
            batches=batches,
            objective=objective,
            schedule=_schedule(settings),
            validate=partial(
                measure_store,
                store=setup.data.validation,
                card=setup.card,
                runtime=setup.runtime,
                processes=processes,
            ),
            forward=called(training.model, form),
            patience=patience_of(settings),
            clip=settings.clip,
            accumulate=_parts_of(batches.batch_size, settings.accumulate or 1, processes),
            processes=processes,
            made_of=form_of(form, training, objective),
            after_step=keeper.after_step,
            after_epoch=keeper.after_epoch,
        )


def _parts_of(batch_size: int, accumulate: int, processes: Processes) -> int:
    """Return in how many parts each process computes its share of a batch. Raises SpecError when they are not equal."""
    if batch_size % (accumulate * processes.count):
        on = "" if processes.count == 1 else f" on {processes.count} GPUs"
        raise SpecError([f"accumulate: a batch of {batch_size} images cannot be cut into {accumulate} equal parts{on}"])
    return accumulate


def load_stage_data(
    context: StageContext, spec: StageSpec[TrainSettings], teachers: StageTeachers | None, device: torch.device
) -> StageData:
    """Return the data that the model of ``spec`` learns from, and that its teachers see. Raises as ``load_data``."""
    name = spec.data.name if spec.data else "this stage"
    remedy = "give the stage more memory (resources.memory), or use fewer images (data.train_subset)"
    with memory_for(f"the images of {name} are loaded", remedy):
        return load_data(
            spec.data,
            augment=spec.settings.augment,
            staged=context.data_root,
            device=device,
            modalities=spec.settings.modalities,
            privileged=teachers is not None and teachers.any_live,
            model=spec.settings.model,
        )


def _batches(
    spec: StageSpec[TrainSettings], data: StageData, teachers: StageTeachers | None, processes: Processes
) -> AugmentedBatches:
    return AugmentedBatches(
        data.train,
        batch_size=spec.settings.batch_size,
        seed=seed_of(spec),
        mixing=_mixing(spec.settings),
        cached_views=teachers.views if teachers else None,
        channels=data.channels,
        sampling=spec.settings.sampling,
        further=_own_augmentation(spec, data),
        processes=processes,
    )


def _own_augmentation(spec: StageSpec[TrainSettings], data: StageData) -> NormalisedAugmentation | None:
    """Return the augmentation of the user's own, or None."""
    if (own := spec.settings.augment.own) is None:
        return None
    shown = data.arrays if data.channels is None else data.whole
    function = _from_catalogue("augmentation", own)
    return NormalisedAugmentation(function, mean=shown.mean, std=shown.std, device=data.device, seed=seed_of(spec))


def _new_training(
    settings: TrainSettings,
    model: nn.Module,
    objective: WeightedTerms,
    steps: int,
    setup: TrainingSetup,
    watch: Stopwatch,
) -> Training:
    """Return a training that stands at its first step."""
    parameters = decay_groups(model) if settings.no_decay else model.parameters()
    optimizer = _from_catalogue("optimizer", settings.optimizer, parameters)
    if settings.norm_bias_lr is not None:
        speed_up_norm_offsets(optimizer, model, settings.norm_bias_lr)
    train_beside(optimizer, objective.adapters)
    return Training(
        model=model,
        optimizer=optimizer,
        meter=Meter(
            terms=objective.names,
            steps=steps,
            num_classes=len(setup.card.classes),
            device=setup.runtime.device,
            multi_label=setup.card.multi_label,
        ),
        metric=selecting_metric(multi_label=setup.card.multi_label),
        adapters=objective.adapters,
        average=WeightAverage(model, settings.ema.decay) if settings.ema else None,
        scaler=setup.runtime.scaler(),
        total_watch=watch,
    )


def _from_catalogue(kind: str, entry: Component, *inputs: Any) -> Any:
    return load(kind, entry.name)(*inputs, **entry.arguments)


def _schedule(settings: TrainSettings) -> Schedule:
    """Return the learning-rate schedule; a trial of a search goes through its stage's whole one in fewer epochs."""
    whole = settings.schedule_epochs or settings.epochs
    schedule: Schedule = _from_catalogue("schedule", settings.schedule, whole)
    return schedule if whole == settings.epochs else stretched(schedule, whole / settings.epochs)


def _mixing(settings: TrainSettings) -> Mixing | None:
    """Return how batches are mixed, or None."""
    chosen = {"mixup": settings.mixup, "cutmix": settings.cutmix}
    alphas = {name: mixing.alpha for name, mixing in chosen.items() if mixing is not None}
    return Mixing(**alphas) if alphas else None
