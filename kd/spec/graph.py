"""Which stage waits for which: references, seeds, order and cycles of a job's stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kd.spec.schema import CacheStage, DistillStage, Job, ReportStage, TrainStage


def teachers_of(job: Job, name: str) -> Sequence[str]:
    """Return the stages that a stage names as its teachers, whether they are there or not."""
    stage = job.stages[name]
    if isinstance(stage, CacheStage):
        return [stage.teacher]
    return stage.teacher if isinstance(stage, DistillStage) else []


def references(job: Job, name: str) -> dict[str, str]:
    """Return reference -> stage: ``teacher`` for one, ``teacher_1``, ``teacher_2`` ... for several."""
    teachers = teachers_of(job, name)
    if len(teachers) == 1:
        return {"teacher": teachers[0]}
    return {f"teacher_{number}": teacher for number, teacher in enumerate(teachers, start=1)}


def seeds_of(job: Job, name: str) -> list[int]:
    """Return the seeds that multiply a stage: a cache has those of its teacher, whoever learns from it."""
    stage = job.stages[name]
    if isinstance(stage, CacheStage):
        teacher = job.stages.get(stage.teacher)
        return (teacher.seeds if isinstance(teacher, TrainStage) else None) or job.seeds
    return (stage.seeds if isinstance(stage, TrainStage) else None) or job.seeds


def cycle(job: Job) -> list[str]:
    """Return the stages of the first cycle in the order of their waiting, or nothing."""
    cleared: set[str] = set()
    for start in job.stages:
        path = {start: _present_teachers(job, start)}
        while path:
            name = next(reversed(path))
            teacher = next((teacher for teacher in path[name] if teacher not in cleared), None)
            if teacher is None:
                cleared.add(name)
                del path[name]
            elif teacher in path:
                stages = list(path)
                return stages[stages.index(teacher) :]
            else:
                path[teacher] = _present_teachers(job, teacher)
    return []


def in_order(job: Job) -> list[str]:
    """Return the stages of a job without cycles: teachers before students, reports last, otherwise as written."""
    order: dict[str, None] = {}
    for start in job.stages:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            teacher = next((teacher for teacher in _present_teachers(job, name) if teacher not in order), None)
            if teacher is None:
                order[waiting.pop()] = None
            else:
                waiting.append(teacher)
    return sorted(order, key=lambda name: isinstance(job.stages[name], ReportStage))


def _present_teachers(job: Job, name: str) -> Iterator[str]:
    return (teacher for teacher in teachers_of(job, name) if teacher in job.stages)
