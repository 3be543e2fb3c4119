"""What a stage can get wrong about the model it goes on from, or exports: which stage, which seeds, which data."""

from __future__ import annotations

from collections.abc import Iterator

from kd.errors import did_you_mean
from kd.jobfile.components import Fault
from kd.jobfile.graph import data_of, seeds_of, trainings_of
from kd.jobfile.schema import DistillStage, ExportStage, Job, SelectStage, TrainStage
from kd.jobfile.source import Address


def lineage_faults(job: Job, name: str, stage: TrainStage | ExportStage, place: Address) -> Iterator[Fault]:
    """Yield the faults of ``start`` and of what is done to that model, or of ``of``."""
    if isinstance(stage, ExportStage):
        yield from parent_faults(job, name, stage.of, (*place, "of"))
        return
    if stage.prune is not None and stage.start is None:
        yield (*place, "prune"), "only a trained model can be pruned; name its stage with 'start'"
    if stage.start is not None:
        yield from parent_faults(job, name, stage.start, (*place, "start"))
        yield from _start_faults(job, stage, stage.start, place)


def parent_faults(job: Job, name: str, parent: str, where: Address) -> Iterator[Fault]:
    """Yield why a stage cannot go on from the model of another: there is none, or not for all its seeds."""
    stage = job.stages.get(parent)
    if stage is None:
        others = [other for other in job.stages if other != name]
        yield where, f"unknown stage '{parent}'{did_you_mean(parent, others)}"
    elif not isinstance(stage, (TrainStage, SelectStage)):
        yield where, f"stage '{parent}' trains no model"
    else:
        yield from seed_faults(job, name, parent, where)


def seed_faults(job: Job, name: str, parent: str, where: Address) -> Iterator[Fault]:
    """Yield the first seed of a stage for which its parent, which has several seeds, has none."""
    has = seeds_of(job, parent) if parent in job.stages else []
    lacking = sorted(set(seeds_of(job, name)).difference(has))
    if lacking and len(has) > 1:
        yield where, f"stage '{parent}' has no seed {lacking[0]} (it has {', '.join(map(str, has[:5]))})"


def _start_faults(job: Job, stage: TrainStage, start: str, place: Address) -> Iterator[Fault]:
    """Yield where a stage says something else of its model than the stage it starts from."""
    before = trainings_of(job, start)
    if not before:
        return
    if others := [training.model.name for training in before if training.model != stage.model]:
        yield (*place, "model"), f"stage '{start}' trains another model ({others[0]}); give both the same"
    if any(training.modalities != stage.modalities for training in before):
        yield (*place, "start"), f"stage '{start}' sees other modalities of an image; give both the same"
    ours, theirs = stage.data or job.data, data_of(job, start)
    if (ours.name, ours.root) != (theirs.name, theirs.root):
        kind = "distilled" if isinstance(stage, DistillStage) else "trained"
        yield (*place, "start"), f"stage '{start}' learns {theirs.name}; it cannot be {kind} further on {ours.name}"
