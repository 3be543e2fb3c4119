"""``--tiny``: the same job graph with seconds-sized work, so that a pipeline can be tried before it is paid for.

What stays: stages, edges, models, losses, optimizers, the kind of schedule, the shape of the images and the number of
classes (of frames the modalities and labels, five at most, at 32 pixels). What shrinks: two epochs at most, of a few
synthetic images, two seeds, ten minutes of wall time, and learning rates: teachers of a few steps have features so wild
that a loss which compares them diverges. What a tiny run reports is no result; it shows that every stage runs on this
machine.
"""

from __future__ import annotations

from typing import Any

from kd.jobfile.graph import in_order, references, seeds_of
from kd.jobfile.schema import (
    Augment,
    CacheStage,
    Component,
    Data,
    ExportStage,
    Job,
    Resources,
    SearchStage,
    SelectStage,
    Stage,
    TrainStage,
)
from kd.jobfile.shapes import USUAL, image_shape

EPOCHS = 2
TRAIN, VALIDATION, TEST = 16, 8, 8  # images
BATCH = 4  # per GPU
FRAMES, FRAME_SIZE = 40, 32  # of data sets with several modalities and labels: 70 % of these train and validate
SCENE_LABELS = ("fire", "smoke", "fog", "tarp", "engine")
SEEDS = 2
VIEWS = 2  # of a cache
TRIALS = 3  # of a search
SLOWER = 0.01  # factor on the learning rate
MINUTES = 10


def shrink(job: Job) -> Job:
    """Return the job with the same stages and edges, and work that takes seconds."""
    seeds = _kept_seeds(job)
    stages = {name: _shrink_stage(job, stage, seeds[name]) for name, stage in job.stages.items()}
    return job.model_copy(
        update={
            "data": _shrink_data(job.data),
            "seeds": job.seeds[:SEEDS],
            "stages": stages,
            "resources": job.resources.model_copy(update={"time": MINUTES}),
        }
    )


def _kept_seeds(job: Job) -> dict[str, list[int]]:
    """Return the seeds each stage keeps: the first two of a stage without children, else those these keep."""
    wanted: dict[str, set[int]] = {name: set() for name in job.stages}
    kept: dict[str, list[int]] = {}
    for name in reversed(in_order(job)):  # children before their parents
        own = seeds_of(job, name)
        kept[name] = [seed for seed in own if seed in wanted[name]] or own[:SEEDS]
        for parent in references(job, name).values():
            wanted[parent].update(kept[name])
    return kept


def _shrink_stage(job: Job, stage: Stage, seeds: list[int]) -> Stage:
    if isinstance(stage, TrainStage):
        return _shrink_training(job, stage, seeds)
    if isinstance(stage, ExportStage):
        update = {"calibration_batches": 1, "resources": _shrink_resources(stage.resources)}
        return stage.model_copy(update=update)
    if isinstance(stage, SelectStage):
        return stage.model_copy(update={"resources": _shrink_resources(stage.resources)})
    if isinstance(stage, SearchStage):
        few = {"trials": min(stage.trials, TRIALS), "epochs": min(stage.epochs, EPOCHS), "seeds": seeds}
        return stage.model_copy(update={**few, "resources": _shrink_resources(stage.resources)})
    return _shrink_cache(stage) if isinstance(stage, CacheStage) else stage


def _shrink_cache(stage: CacheStage) -> CacheStage:
    """Return the cache with two views, made as its students' are."""
    update: dict[str, Any] = {
        "views": min(stage.views, VIEWS),
        "augment": _shrink_augment(stage.augment),
        "resources": _shrink_resources(stage.resources),
    }
    if stage.data is not None:
        update["data"] = _shrink_data(stage.data)
    return stage.model_copy(update=update)


def _shrink_training(job: Job, stage: TrainStage, seeds: list[int]) -> TrainStage:
    gpus = job.resources.gpus if stage.resources.gpus is None else stage.resources.gpus
    update: dict[str, Any] = {
        "seeds": seeds,
        "model": _shrink_model(stage.model),
        "epochs": min(stage.epochs, EPOCHS),
        "batch_size": min(stage.batch_size, BATCH * (gpus or 1)),
        "optimizer": _shrink_optimizer(stage.optimizer),
        "schedule": _shrink_schedule(stage.schedule),
        "augment": _shrink_augment(stage.augment),
        "checkpoint_every": EPOCHS,
        "resources": _shrink_resources(stage.resources),
    }
    if stage.data is not None:
        update["data"] = _shrink_data(stage.data)
    return stage.model_copy(update=update)


def _shrink_augment(augment: Augment) -> Augment:
    return augment.model_copy(update={"crop": min(augment.crop, 1)})


def _shrink_model(model: Component) -> Component:
    """Return the model without what needs files that may not be there, and without enlarging the images."""
    arguments = {key: value for key, value in model.arguments.items() if key not in ("pretrained", "resize")}
    return Component(name=model.name, **arguments)


def _shrink_data(data: Data) -> Data:
    shape = image_shape(data) or USUAL
    if shape.multi_label:
        size, labels = min(shape.size, FRAME_SIZE), list(SCENE_LABELS[: shape.classes])
        return Data(name="synthetic_rgb_ir", validation=VALIDATION, images=FRAMES, size=size, labels=labels)
    shown: dict[str, Any] = {"classes": shape.classes, "channels": shape.channels, "size": shape.size}
    return Data(name="synthetic", validation=VALIDATION, train=TRAIN + VALIDATION, test=TEST, **shown)


def _shrink_optimizer(optimizer: Component) -> Component:
    arguments = optimizer.arguments
    return Component(name=optimizer.name, **{**arguments, "lr": SLOWER * arguments["lr"]})


def _shrink_schedule(schedule: Component) -> Component:
    """Return the schedule with the arguments that count epochs fitted to the few there are."""
    fitted = {"milestones": [1], "every": 1, "warmup": 0}
    arguments = {key: fitted.get(key, value) for key, value in schedule.arguments.items()}
    return Component(name=schedule.name, **arguments)


def _shrink_resources(resources: Resources) -> Resources:
    return resources.model_copy(update={"time": MINUTES}) if resources.time else resources
