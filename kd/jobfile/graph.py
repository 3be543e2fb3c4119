"""Which stage waits for which: references, seeds, order and cycles of a job's stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def teachers_of(job: Job, name: str) -> Sequence[str]:
    """Return the stages that a stage names as its teachers, whether they are there or not."""
    stage = job.stages[name]
    if isinstance(stage, CacheStage):
        return [stage.teacher]
    return stage.teacher if isinstance(stage, DistillStage) else []


def references(job: Job, name: str) -> dict[str, str]:
    """Return reference -> stage: ``teacher`` for one, ``teacher_1`` ... for several; ``start``, ``of``, ``by_1`` ...

    A search has the teachers and the start of the stage that it searches for, and its memory as ``memory_1`` ...
    """
    stage = job.stages[name]
    if isinstance(stage, ExportStage):
        return {"of": stage.of}
    if isinstance(stage, SelectStage):
        return {**_numbered("of", stage.of), **_numbered("by", stage.by)}
    if isinstance(stage, SearchStage):
        return {**_training_references(job, stage.searched), **_numbered("memory", stage.memory)}
    found = _training_references(job, name)
    if isinstance(stage, TrainStage) and stage.configuration is not None:
        found["configuration"] = stage.configuration
    return found


def _training_references(job: Job, name: str) -> dict[str, str]:
    """Return the references by which a stage names the models it trains with; none for a stage that is not there."""
    stage = job.stages.get(name)
    teachers = teachers_of(job, name) if stage else []
    found = {"teacher": teachers[0]} if len(teachers) == 1 else _numbered("teacher", teachers)
    if isinstance(stage, TrainStage) and stage.start is not None:
        found["start"] = stage.start
    return found


def seeds_of(job: Job, name: str) -> list[int]:
    """Return the seeds that multiply a stage: its own, else those of the training it is, is made of or searches for."""
    stage, training = job.stages[name], training_of(job, name)
    own = stage.seeds if isinstance(stage, SearchStage) else None
    return own or (training.seeds if training else None) or job.seeds


def data_of(job: Job, name: str) -> Data:
    """Return the data of a stage: its own, those of the training it is, is made of or searches for, or the pipeline's.

    A selection is made of its first student: on that one's data all of them are judged.
    """
    stage = job.stages[name]
    source = stage if isinstance(stage, CacheStage) else training_of(job, name)
    return (source.data if source else None) or job.data


def training_of(job: Job, name: str) -> TrainStage | None:
    """Return the training that a stage is, or the one whose model it caches, exports, judges or searches for."""
    for _ in job.stages:  # a chain of references is no longer; one that never ends is told as a cycle
        stage = job.stages.get(name)
        if isinstance(stage, CacheStage):
            name = stage.teacher
        elif isinstance(stage, ExportStage):
            name = stage.of
        elif isinstance(stage, SearchStage):
            name = stage.searched
        elif isinstance(stage, SelectStage) and stage.by:
            name = stage.by[0]
        else:
            return stage if isinstance(stage, TrainStage) else None
    return None


def trainings_of(job: Job, name: str) -> Sequence[TrainStage]:
    """Return the trainings of which one's model is a stage's: the one it is, or those of a selection's candidates."""
    stage = job.stages.get(name)
    named = [job.stages.get(each) for each in stage.of] if isinstance(stage, SelectStage) else [stage]
    return [each for each in named if isinstance(each, TrainStage)]


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


def _numbered(reference: str, stages: Sequence[str]) -> dict[str, str]:
    return {f"{reference}_{number}": stage for number, stage in enumerate(stages, start=1)}


def _present_parents(job: Job, name: str) -> Iterator[str]:
    return (parent for parent in references(job, name).values() if parent in job.stages)
