"""The job graph as plan.json has it, read without the job file's schema: commands that only look must start fast."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from kd.errors import RunError, did_you_mean
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.job_evidence import same_in_run
from kd.rundir.plan_file import REPORT, read_plan


class Planned(Struct, frozen=True, kw_only=True):
    """One job. ``parents`` are all the jobs it waits for."""

    key: JobKey
    kind: str
    fingerprint: str
    parents: tuple[JobKey, ...]
    same_as: JobKey | None = None  # the job of this run that is done for both

    @property
    def waits_for_all_ended(self) -> bool:
        """Whether it runs after all others, whatever became of them."""
        return self.kind == REPORT


def read_jobs(run: RunFolder) -> list[Planned]:
    """Return the jobs of plan.json, parents before children. Raises RunError when there is no such plan."""
    plan = read_plan(run)
    return [
        Planned(
            key=job.key,
            kind=job.kind,
            fingerprint=job.fingerprint,
            parents=plan.parents_of(job),
            same_as=same_in_run(run, job.key),
        )
        for job in plan.jobs
    ]


def select(jobs: Sequence[Planned], names: Collection[str]) -> list[JobKey]:
    """Return the jobs that ``STAGE`` or ``STAGE/seed-N`` name, in the plan's order.

    Raises RunError, naming the nearest, when a name fits no job.
    """
    stages = list(dict.fromkeys(job.key.stage for job in jobs))
    known = {*stages, *(str(job.key) for job in jobs)}
    for name in names:
        if name not in known:
            stage = name.partition("/")[0]
            near = [str(job.key) for job in jobs if job.key.stage == stage] if stage in stages else stages
            raise RunError(f"{name}: the run has no such stage{did_you_mean(name, near)}")
    return [job.key for job in jobs if job.key.stage in names or str(job.key) in names]


def with_descendants(jobs: Sequence[Planned], keys: Collection[JobKey]) -> set[JobKey]:
    """Return the jobs and all that need them. The report needs none: it names what is missing."""
    found, before = set(keys), 0
    while len(found) > before:  # again: a job may be the same as one that comes later
        before = len(found)
        needing = (job for job in jobs if not job.waits_for_all_ended and _needs(job, found))
        found.update(job.key for job in needing)
    return found


def _needs(job: Planned, found: Collection[JobKey]) -> bool:
    return job.same_as in found or any(parent in found for parent in job.parents)
