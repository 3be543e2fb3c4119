"""Which stage waits for which: order and cycles of a job's stages."""

from __future__ import annotations

from kd.spec.schema import DistillStage, Job, ReportStage


def teacher_of(job: Job, name: str) -> str | None:
    """Return the stage whose model teaches a stage, or None where it has none or names one that is not there."""
    stage = job.stages[name]
    return stage.teacher if isinstance(stage, DistillStage) and stage.teacher in job.stages else None


def cycle(job: Job) -> list[str]:
    """Return the stages of the first cycle in the order of their waiting, or nothing."""
    cleared: set[str] = set()
    for start in job.stages:
        path: dict[str, None] = {}
        name: str | None = start
        while name is not None and name not in cleared:
            if name in path:
                stages = list(path)
                return stages[stages.index(name) :]
            path[name] = None
            name = teacher_of(job, name)
        cleared.update(path)
    return []


def in_order(job: Job) -> list[str]:
    """Return the stages of a job without cycles: teachers before students, reports last, otherwise as written."""
    order: dict[str, None] = {}
    for start in job.stages:
        waiting: list[str] = []
        name: str | None = start
        while name is not None and name not in order:
            waiting.append(name)
            name = teacher_of(job, name)
        order.update(dict.fromkeys(reversed(waiting)))
    return sorted(order, key=lambda name: isinstance(job.stages[name], ReportStage))
