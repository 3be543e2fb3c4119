"""Which stage waits for which: references, seeds, order and cycles of a job's stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kd.spec.schema import CacheStage, Data, DistillStage, ExportStage, Job, ReportStage, SearchStage, TrainStage


def teachers_of(job: Job, name: str) -> Sequence[str]:
    """Return the stages that a stage names as its teachers, whether they are there or not."""
    stage = job.stages[name]
    if isinstance(stage, CacheStage):
        return [stage.teacher]
    return stage.teacher if isinstance(stage, DistillStage) else []


def references(job: Job, name: str) -> dict[str, str]:
    """Return reference -> stage: ``teacher`` for one, ``teacher_1`` ... for several; ``start``, ``of``, ...

    A search has the teachers and the start of the stage that it searches for, and its memory as ``memory_1`` ...
    """
    stage = job.stages[name]
    if isinstance(stage, ExportStage):
        return {"of": stage.of}
    if isinstance(stage, SearchStage):
        memory = {f"memory_{number}": search for number, search in enumerate(stage.memory, start=1)}
        return {**_training_references(job, stage.searched), **memory}
    found = _training_references(job, name)
    if isinstance(stage, TrainStage) and stage.configuration is not None:
        found["configuration"] = stage.configuration
    return found


def _training_references(job: Job, name: str) -> dict[str, str]:
    """Return the references by which a stage names the models it trains with; none for a stage that is not there."""
    stage = job.stages.get(name)
    teachers = teachers_of(job, name) if stage else []
    found = {f"teacher_{number}": teacher for number, teacher in enumerate(teachers, start=1)}
    if len(teachers) == 1:
        found = {"teacher": teachers[0]}
    if isinstance(stage, TrainStage) and stage.start is not None:
        found["start"] = stage.start
    return found


def seeds_of(job: Job, name: str) -> list[int]:
    """Return the seeds that multiply a stage.

    A cache and an export have those of the model they are made of, a search those of the stage it searches for.
    """
    stage = job.stages[name]
    if isinstance(stage, SearchStage):
        searched = job.stages.get(stage.searched)
        return stage.seeds or (searched.seeds if isinstance(searched, TrainStage) else None) or job.seeds
    if isinstance(stage, (CacheStage, ExportStage)):
        made_of = job.stages.get(stage.teacher if isinstance(stage, CacheStage) else stage.of)
        return (made_of.seeds if isinstance(made_of, TrainStage) else None) or job.seeds
    return (stage.seeds if isinstance(stage, TrainStage) else None) or job.seeds


def data_of(job: Job, name: str) -> Data:
    """Return the data of a stage: its own, those of the stage it exports or searches for, or the pipeline's."""
    stage = job.stages[name]
    if isinstance(stage, (ExportStage, SearchStage)):
        other = job.stages.get(stage.of if isinstance(stage, ExportStage) else stage.searched)
        return (other.data if isinstance(other, TrainStage) else None) or job.data
    return (stage.data if isinstance(stage, (TrainStage, CacheStage)) else None) or job.data


def cycle(job: Job) -> list[str]:
    """Return the stages of the first cycle in the order of their waiting, or nothing."""
    cleared: set[str] = set()
    for start in job.stages:
        path = {start: _present_parents(job, start)}
        while path:
            name = next(reversed(path))
            parent = next((parent for parent in path[name] if parent not in cleared), None)
            if parent is None:
                cleared.add(name)
                del path[name]
            elif parent in path:
                stages = list(path)
                return stages[stages.index(parent) :]
            else:
                path[parent] = _present_parents(job, parent)
    return []


def waiting_key(job: Job, name: str, parent: str | None = None) -> str:
    """Return the key under which a stage names the parent it waits for (itself, where none is given)."""
    named = next(reference for reference, stage in references(job, name).items() if stage == (parent or name))
    key = named.partition("_")[0]
    return "for" if isinstance(job.stages[name], SearchStage) and key != "memory" else key


def in_order(job: Job) -> list[str]:
    """Return the stages of a job without cycles: parents before children, reports last, otherwise as written."""
    order: dict[str, None] = {}
    for start in job.stages:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            parent = next((parent for parent in _present_parents(job, name) if parent not in order), None)
            if parent is None:
                order[waiting.pop()] = None
            else:
                waiting.append(parent)
    return sorted(order, key=lambda name: isinstance(job.stages[name], ReportStage))


def _present_parents(job: Job, name: str) -> Iterator[str]:
    return (parent for parent in references(job, name).values() if parent in job.stages)
