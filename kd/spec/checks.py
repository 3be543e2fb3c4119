"""What a well-shaped job file can still get wrong: names, arguments, references, cycles and absurd values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from kd import catalog
from kd.errors import did_you_mean
from kd.spec.graph import cycle
from kd.spec.schema import Component, Data, DistillStage, Job, ReportStage, TrainStage
from kd.spec.shapes import Shape, image_shape
from kd.spec.source import Address

Fault: TypeAlias = tuple[Address, str]

HINTON = ("ce", "kd")  # the two terms whose weights are expected to sum to 1


def faults(job: Job) -> Iterator[Fault]:
    """Yield every fault of a job as (address, message)."""
    yield from _data_faults(job.data, ("data",))
    yield from _seed_faults(job.seeds, ("seeds",))
    for name, stage in job.stages.items():
        place = ("stages", name)
        if isinstance(stage, TrainStage):
            yield from _training_faults(job, stage, place)
        if isinstance(stage, DistillStage):
            yield from _teacher_faults(job, name, stage, (*place, "teacher"))
    if all(isinstance(stage, ReportStage) for stage in job.stages.values()):
        yield ("stages",), "there is nothing to train: only report stages"
    if stages := cycle(job):
        yield ("stages", stages[0], "teacher"), f"stages wait for each other: {' → '.join([*stages, stages[0]])}"


def _training_faults(job: Job, stage: TrainStage, place: Address) -> Iterator[Fault]:
    yield from _seed_faults(stage.seeds or [], (*place, "seeds"))
    yield from _component_faults("model", stage.model, place)
    yield from _component_faults("optimizer", stage.optimizer, place)
    yield from _component_faults("schedule", stage.schedule, place)
    yield from _schedule_faults(stage, (*place, "schedule"))
    yield from _loss_faults(stage, (*place, "loss"))
    if stage.data is not None:
        yield from _data_faults(stage.data, (*place, "data"))
    yield from _size_faults(stage, stage.data or job.data, place)


def _component_faults(kind: str, component: Component, place: Address) -> Iterator[Fault]:
    yield from _named_faults(kind, component.name, component.arguments, (*place, kind), ["name"])


def _named_faults(
    kind: str, name: str, given: Mapping[str, Any], place: Address, own: Sequence[str]
) -> Iterator[Fault]:
    """Yield the faults of a name of the catalogue and of its arguments; ``own`` keys stand beside these."""
    entry = catalog.find(kind, name)
    if entry is None:
        # where the name is itself the key (a loss), the nearest known part of this address is the key
        yield (*place, "name"), f"unknown {kind} '{name}'{did_you_mean(name, list(catalog.entries(kind)))}"
        return
    for inside, message in catalog.check_arguments(entry, kind, given, own):
        yield (*place, *inside), message


def _data_faults(data: Data, place: Address) -> Iterator[Fault]:
    yield from _named_faults("dataset", data.name, data.arguments, place, list(Data.model_fields))
    if data.train_subset is not None and data.validation >= data.train_subset:
        yield (
            (*place, "validation"),
            f"{data.validation} validation images leave none to train on: train_subset is {data.train_subset}",
        )


def _size_faults(stage: TrainStage, data: Data, place: Address) -> Iterator[Fault]:
    """Yield what does not fit the images: a batch beyond all of them, a crop wider than one of them."""
    left = data.train_subset - data.validation if data.train_subset else None
    if left is not None and 0 < left < stage.batch_size:
        yield (*place, "batch_size"), f"the batch of {stage.batch_size} exceeds the {left} images left to train on"
    shape = _shape(data)
    if shape and stage.augment.crop >= shape.size:
        yield (
            (*place, "augment", "crop"),
            f"a crop of {stage.augment.crop} pixels can leave nothing of an image of {shape.size} pixels a side",
        )


def _shape(data: Data) -> Shape | None:
    """Return the declared shape of a data set, or None when none is, or when its name or arguments are wrong."""
    return None if any(_data_faults(data, ())) else image_shape(data)


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
    if isinstance(warmup, (int, float)) and warmup >= stage.epochs:
        yield (*place, "warmup"), f"a warm-up of {warmup:g} epochs fills all {stage.epochs} epochs"


def _loss_faults(stage: TrainStage, place: Address) -> Iterator[Fault]:
    for name, term in stage.loss.items():
        yield from _named_faults("loss", name, term.arguments, (*place, name), ["weight"])
        if needs_teacher(name) and not isinstance(stage, DistillStage):
            yield (*place, name), f"loss '{name}' needs a teacher: use 'kind: distill' and name one"
    weights = {name: term.weight for name, term in stage.loss.items()}
    total = sum(weights.values())
    if total == 0:
        yield place, "the weights of the loss sum to 0: nothing would be learned"
    elif set(weights) == set(HINTON) and abs(total - 1) > 1e-6 and not stage.free_weights:
        yield place, f"the weights of ce and kd sum to {total:g}, not 1 (set 'free_weights: true' to mean it)"
    if isinstance(stage, DistillStage) and total and not any(_teaches(name, weights[name]) for name in weights):
        yield place, "no term with a weight above 0 uses the teacher; add 'kd', or use 'kind: train'"


def needs_teacher(loss: str) -> bool:
    """Whether a loss takes anything from a teacher; False for a loss that the catalogue does not know."""
    entry = catalog.find("loss", loss)
    return entry is not None and any(name.startswith("teacher") for name in entry.inputs)


def _teaches(loss: str, weight: float) -> bool:
    return weight > 0 and (needs_teacher(loss) or catalog.find("loss", loss) is None)


def _teacher_faults(job: Job, name: str, stage: DistillStage, where: Address) -> Iterator[Fault]:
    teacher = job.stages.get(stage.teacher)
    if teacher is None:
        others = [other for other in job.stages if other != name]
        yield where, f"unknown stage '{stage.teacher}'{did_you_mean(stage.teacher, others)}"
    elif not isinstance(teacher, TrainStage):
        yield where, f"stage '{stage.teacher}' trains no model; it cannot teach"
    else:
        yield from _pairing_faults(job, stage, teacher, where)


def _pairing_faults(job: Job, stage: DistillStage, teacher: TrainStage, where: Address) -> Iterator[Fault]:
    taught = teacher.seeds or job.seeds
    lacking = sorted(set(stage.seeds or job.seeds).difference(taught))
    if lacking and len(taught) > 1:
        has = ", ".join(map(str, taught[:5])) + (" …" if len(taught) > 5 else "")
        yield where, f"stage '{stage.teacher}' has no seed {lacking[0]} to teach (it has {has})"
    seen, known = _shape(stage.data or job.data), _shape(teacher.data or job.data)
    if seen and known and seen != known:
        yield where, f"stage '{stage.teacher}' learns {known}; it cannot teach {seen}"
