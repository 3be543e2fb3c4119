"""What a well-shaped job file can still get wrong: names, arguments, references, cycles and absurd values."""

from __future__ import annotations

from collections.abc import Iterator

from kd import catalog
from kd.errors import did_you_mean
from kd.jobfile.components import Fault, component_faults, data_faults, declared_shape, named_faults
from kd.jobfile.graph import cycle, waiting_key
from kd.jobfile.lineage import lineage_faults
from kd.jobfile.schema import (
    CacheStage,
    Data,
    DistillStage,
    ExportStage,
    Job,
    ReportStage,
    SearchStage,
    SelectStage,
    TrainStage,
)
from kd.jobfile.searching import configuration_faults, search_faults
from kd.jobfile.selection import comparison_faults, selection_faults
from kd.jobfile.shapes import Shape
from kd.jobfile.source import Address
from kd.jobfile.teaching import needs_teacher, teaching_faults
from kd.losses.inputs import LABELS
from kd.losses.label_kinds import loss_misfit, weighting_misfit

LINEAR_IN_LABELS = ("ce", "bce")  # of mixed images, the loss is the mean of what each label alone would cost


def faults(job: Job) -> Iterator[Fault]:
    """Yield every fault of a job as (address, message)."""
    yield from data_faults(job.data, ("data",))
    yield from _seed_faults(job.seeds, ("seeds",))
    for name, stage in job.stages.items():
        place = ("stages", name)
        if isinstance(stage, TrainStage):
            yield from _training_faults(job, stage, place)
        if isinstance(stage, (DistillStage, CacheStage)):
            yield from teaching_faults(job, name, stage, place)
        if isinstance(stage, (TrainStage, ExportStage)):
            yield from lineage_faults(job, name, stage, place)
        if isinstance(stage, SelectStage):
            yield from selection_faults(job, name, stage, place)
        if isinstance(stage, ReportStage):
            yield from comparison_faults(job, stage, (*place, "compare"))
        if isinstance(stage, TrainStage):
            yield from configuration_faults(job, name, stage, place)
        if isinstance(stage, SearchStage):
            yield from _seed_faults(stage.seeds or [], (*place, "seeds"))
            yield from search_faults(job, name, stage, place)
    if all(isinstance(stage, ReportStage) for stage in job.stages.values()):
        yield ("stages",), "there is nothing to train: only report stages"
    if stages := cycle(job):
        key = waiting_key(job, *stages[:2])
        yield ("stages", stages[0], key), f"stages wait for each other: {' → '.join([*stages, stages[0]])}"


def _training_faults(job: Job, stage: TrainStage, place: Address) -> Iterator[Fault]:
    yield from _seed_faults(stage.seeds or [], (*place, "seeds"))
    yield from component_faults("model", stage.model, place)
    yield from component_faults("optimizer", stage.optimizer, place)
    yield from component_faults("schedule", stage.schedule, place)
    yield from _schedule_faults(stage, (*place, "schedule"))
    yield from _loss_faults(stage, (*place, "loss"))
    yield from _mixing_faults(stage, place)
    yield from _process_faults(job, stage, place)
    if stage.data is not None:
        yield from data_faults(stage.data, (*place, "data"))
    yield from _size_faults(stage, stage.data or job.data, place)
    yield from _shape_faults(stage, declared_shape(stage.data or job.data), place)


def _size_faults(stage: TrainStage, data: Data, place: Address) -> Iterator[Fault]:
    """Yield what does not fit the images: a batch beyond all of them, a crop wider than one of them."""
    left = data.train_subset - data.validation_images(data.train_subset) if data.train_subset else None
    if left is not None and 0 < left < stage.batch_size:
        yield (*place, "batch_size"), f"the batch of {stage.batch_size} exceeds the {left} images left to train on"
    shape = declared_shape(data)
    if shape and stage.augment.crop >= shape.size:
        yield (
            (*place, "augment", "crop"),
            f"a crop of {stage.augment.crop} pixels can leave nothing of an image of {shape.size} pixels a side",
        )
    if shape and stage.augment.cutout >= shape.size:
        yield (
            (*place, "augment", "cutout"),
            f"a square of {stage.augment.cutout} pixels can blank an image of {shape.size} pixels a side",
        )


def _shape_faults(stage: TrainStage, shape: Shape | None, place: Address) -> Iterator[Fault]:
    """Yield what is for other images: modalities they have not, losses of one class where there are several labels."""
    if shape is None:
        return
    for index, name in enumerate(stage.modalities or []):
        if name not in shape.modalities:
            has = did_you_mean(name, shape.modalities) or ": they have only one"
            yield (*place, "modalities", index), f"the images have no modality '{name}'{has}"
    for name in stage.loss:
        entry = catalog.find("loss", name)
        if entry and (fault := loss_misfit(name, entry.inputs, multi_label=shape.multi_label)):
            yield (*place, "loss", name), fault
    if isinstance(stage, DistillStage) and len(stage.teacher) > 1:
        fault = weighting_misfit(stage.weighting.name, multi_label=shape.multi_label)
        if fault and catalog.find("weighting", stage.weighting.name):
            yield (*place, "weighting"), fault


def _seed_faults(seeds: list[int], place: Address) -> Iterator[Fault]:
    met: set[int] = set()
    for index, seed in enumerate(seeds):
        if seed in met:
            yield (*place, index), f"seed {seed} is given twice"
        met.add(seed)


def _schedule_faults(stage: TrainStage, place: Address) -> Iterator[Fault]:
    arguments = stage.schedule.arguments
    milestones = arguments.get("milestones")
    if isinstance(milestones, list) and all(type(milestone) is int for milestone in milestones):
        if milestones != sorted(set(milestones)):
            yield (*place, "milestones"), f"milestones must increase, got {milestones}"
        elif milestones and milestones[-1] >= stage.epochs:
            last = (*place, "milestones", len(milestones) - 1)
            yield last, f"milestone {milestones[-1]} lies past the end: {stage.epochs} epochs"
    warmup = arguments.get("warmup")
    if not isinstance(warmup, (int, float)):
        return
    drops = milestones if isinstance(milestones, list) else [arguments.get("every")]
    early = [drop for drop in drops if type(drop) is int and drop < warmup]
    if warmup >= stage.epochs:
        yield (*place, "warmup"), f"a warm-up of {warmup:g} epochs fills all {stage.epochs} epochs"
    elif early:
        yield (*place, "warmup"), f"a warm-up of {warmup:g} epochs lasts beyond the first drop at epoch {early[0]}"


def _loss_faults(stage: TrainStage, place: Address) -> Iterator[Fault]:
    for name, term in stage.loss.items():
        yield from named_faults("loss", name, term.arguments, (*place, name), ["weight"])
        if needs_teacher(name) and not isinstance(stage, DistillStage):
            yield (*place, name), f"loss '{name}' needs a teacher: use 'kind: distill' and name one"
    weights = {name: term.weight for name, term in stage.loss.items()}
    total = sum(weights.values())
    if total == 0:
        yield place, "the weights of the loss sum to 0: nothing would be learned"
    elif stage.weights_share_one and abs(total - 1) > 1e-6:
        yield place, f"the weights of ce and kd sum to {total:g}, not 1 (set 'free_weights: true' to mean it)"
    if isinstance(stage, DistillStage) and total and not any(_teaches(name, weights[name]) for name in weights):
        yield place, "no term with a weight above 0 uses the teacher; add 'kd', or use 'kind: train'"


def _mixing_faults(stage: TrainStage, place: Address) -> Iterator[Fault]:
    """Yield the losses that know an image by one label or by its number, where images are mixed."""
    mixing = "mixup" if stage.mixup else "cutmix" if stage.cutmix else None
    for name in stage.loss if mixing else ():
        entry = catalog.find("loss", name)
        if entry and name not in LINEAR_IN_LABELS and not {*LABELS, "indices_B"}.isdisjoint(entry.inputs):
            yield (*place, "loss", name), f"loss '{name}' needs one true class per image, which {mixing} takes away"


def _process_faults(job: Job, stage: TrainStage, place: Address) -> Iterator[Fault]:
    gpus = job.resources.gpus if stage.resources.gpus is None else stage.resources.gpus
    if gpus and stage.batch_size % gpus:
        yield (*place, "batch_size"), f"a batch of {stage.batch_size} images cannot be shared equally by {gpus} GPUs"


def _teaches(loss: str, weight: float) -> bool:
    return weight > 0 and (needs_teacher(loss) or catalog.find("loss", loss) is None)
