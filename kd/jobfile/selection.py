"""What a stage can get wrong about a choice between other stages: who may teach, by whom that is judged, what a report
compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kd.errors import did_you_mean
from kd.jobfile.components import Fault
from kd.jobfile.graph import data_of
from kd.jobfile.lineage import parent_faults
from kd.jobfile.schema import CacheStage, DistillStage, ExportStage, Job, ReportStage, SelectStage, TrainStage
from kd.jobfile.source import Address


def selection_faults(job: Job, name: str, stage: SelectStage, place: Address) -> Iterator[Fault]:
    """Yield the faults of the candidates and of the students they taught."""
    for key, named in (("of", stage.of), ("by", stage.by)):
        yield from _twice(named, (*place, key))
        for index, each in enumerate(named):
            where = (*place, key, index)
            if isinstance(job.stages.get(each), SelectStage):
                yield where, f"stage '{each}' is a choice itself; name the stages it chooses from"
            else:
                yield from parent_faults(job, name, each, where)
    if len(stage.of) < 2:
        yield (*place, "of"), "there is nothing to choose from; name two candidates at least"
    if len(stage.of) != len(stage.by):
        yield (*place, "by"), f"{len(stage.of)} candidates need as many students, one each; here are {len(stage.by)}"
        return
    for index, (candidate, student) in enumerate(zip(stage.of, stage.by, strict=True)):
        yield from _student_faults(job, stage.by[0], candidate, student, (*place, "by", index))


def comparison_faults(job: Job, stage: ReportStage, place: Address) -> Iterator[Fault]:
    """Yield the comparisons of stages that a report has no accuracies of."""
    for name, others in stage.compare.items():
        yield from _uncomparable(job, name, (*place, name))
        for index, other in enumerate(others):
            where = (*place, name, index)
            if other == name:
                yield where, f"stage '{name}' is compared with itself"
            else:
                yield from _uncomparable(job, other, where)
        yield from _twice(others, (*place, name))


def _student_faults(job: Job, first: str, candidate: str, student: str, where: Address) -> Iterator[Fault]:
    """Yield why a student tells nothing of a candidate, or nothing that compares with the first student."""
    judge, yardstick, taught = (job.stages.get(name) for name in (student, first, candidate))
    if not (isinstance(judge, TrainStage) and isinstance(yardstick, TrainStage) and isinstance(taught, TrainStage)):
        return  # told as a fault of its own
    teachers = judge.teacher if isinstance(judge, DistillStage) else []
    if candidate not in (_behind_a_cache(job, teacher) for teacher in teachers):
        yield where, f"stage '{student}' was not taught by '{candidate}'"
    elif judge.model != yardstick.model:
        yield where, f"stage '{student}' trains another model than '{first}'; give both the same"
    elif (data_of(job, student), judge.modalities) != (data_of(job, first), yardstick.modalities):
        yield where, f"stage '{student}' learns other data than '{first}'; give both the same"


def _behind_a_cache(job: Job, teacher: str) -> str:
    stage = job.stages.get(teacher)
    return stage.teacher if isinstance(stage, CacheStage) else teacher


def _uncomparable(job: Job, name: str, where: Address) -> Iterator[Fault]:
    stage = job.stages.get(name)
    if stage is None:
        yield where, f"unknown stage '{name}'{did_you_mean(name, list(job.stages))}"
    elif not isinstance(stage, (TrainStage, SelectStage, ExportStage)):
        yield where, f"stage '{name}' measures no accuracy"


def _twice(names: Sequence[str], place: Address) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (*place, index), f"stage '{name}' is named twice"
