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
from kd.jobfile.schema import Augment, Component, Data, Resources
from kd.jobfile.shapes import USUAL, image_shape
from kd.jobfile.stage import Pipeline

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


def shrink(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline with the same stages and edges, and work that takes seconds."""
    seeds = _kept_seeds(pipeline)
    stages = {name: stage.shrunk(pipeline, seeds[name]) for name, stage in pipeline.stages.items()}
    return pipeline.model_copy(
        update={
            "data": shrunk_data(pipeline.data),
            "seeds": pipeline.seeds[:SEEDS],
            "stages": stages,
            "resources": pipeline.resources.model_copy(update={"time": MINUTES}),
        }
    )


def _kept_seeds(pipeline: Pipeline) -> dict[str, list[int]]:
    """Return the seeds each stage keeps: the first two of a stage without children, else those these keep."""
    wanted: dict[str, set[int]] = {name: set() for name in pipeline.stages}
    kept: dict[str, list[int]] = {}
    for name in reversed(in_order(pipeline)):  # children before their parents
        own = seeds_of(pipeline, name)
        kept[name] = [seed for seed in own if seed in wanted[name]] or own[:SEEDS]
        for parent in references(pipeline, name).values():
            wanted[parent].update(kept[name])
    return kept


def shrunk_augment(augment: Augment) -> Augment:
    """Return the augmentation with a crop that fits images of any size."""
    return augment.model_copy(update={"crop": min(augment.crop, 1)})


def shrunk_model(model: Component) -> Component:
    """Return the model without what needs files that may not be there, and without enlarging the images."""
    arguments = {key: value for key, value in model.arguments.items() if key not in ("pretrained", "resize")}
    return Component(name=model.name, **arguments)


def shrunk_data(data: Data) -> Data:
    """Return a few synthetic images of the same shape and classes."""
    shape = image_shape(data) or USUAL
    if shape.multi_label:
        size, labels = min(shape.size, FRAME_SIZE), list(SCENE_LABELS[: shape.classes])
        return Data(name="synthetic_rgb_ir", validation=VALIDATION, images=FRAMES, size=size, labels=labels)
    shown: dict[str, Any] = {"classes": shape.classes, "channels": shape.channels, "size": shape.size}
    return Data(name="synthetic", validation=VALIDATION, train=TRAIN + VALIDATION, test=TEST, **shown)


def shrunk_optimizer(optimizer: Component) -> Component:
    """Return the optimizer with a small learning rate."""
    arguments = optimizer.arguments
    return Component(name=optimizer.name, **{**arguments, "lr": SLOWER * arguments["lr"]})


def shrunk_schedule(schedule: Component) -> Component:
    """Return the schedule with the arguments that count epochs fitted to the few there are."""
    fitted = {"milestones": [1], "every": 1, "warmup": 0}
    arguments = {key: fitted.get(key, value) for key, value in schedule.arguments.items()}
    return Component(name=schedule.name, **arguments)


def shrunk_resources(resources: Resources) -> Resources:
    """Return the resources of a stage with ten minutes, where it states a time."""
    return resources.model_copy(update={"time": MINUTES}) if resources.time else resources
