"""How every job of a run is, with all that a table shows of it: one evidence per job, one decision (kd.rundir)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.job_evidence import Sent, gather, moment_of
from kd.rundir.job_state import NOT_ASKED, PHASES, Answer, Evidence, JobState, Phase, decide_all
from slurm.state.planned_jobs import read_jobs


class CanBeAsked(Protocol):
    """What answers for the jobs that it was sent: an executor (slurm.submission.executors)."""

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> Sequence[Answer]:
        """Return an answer for each submission. Raises ClusterError when there is none to be had."""


class JobStatus(Struct, frozen=True, kw_only=True):
    """A row of the table: how one job is, how far it came, where. ``why`` is for people, the rest for programs."""

    key: JobKey
    phase: Phase
    why: str = ""
    alive: bool = False
    anew: bool = False
    lender: str | None = None
    same_as: JobKey | None = None
    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    seconds_left: float | None = None
    images_per_second: float | None = None
    partition: str | None = None
    node: str | None = None
    restarts: int = 0
    job_id: str | None = None
    executor: str | None = None
    scheduler_state: str | None = None  # Slurm's own words
    scheduler_reason: str | None = None


def snapshot(run: RunFolder, executors: Mapping[str, CanBeAsked], *, accounting: bool = True) -> list[JobStatus]:
    """Return how every planned job is, in the plan's order. Executors that are left out are not asked.

    Raises RunError for a folder that is no run, and ClusterError when Slurm has jobs of the run and does not answer.
    """

    def ask(sent: Sequence[Sent]) -> list[Answer]:
        answers = [NOT_ASKED] * len(sent)
        for name, executor in executors.items():
            own = [index for index, each in enumerate(sent) if each.submission.executor == name]
            if own:
                for index, answer in zip(own, executor.ask([sent[i] for i in own], accounting=accounting), strict=True):
                    answers[index] = answer
        return answers

    jobs = read_jobs(run)
    known = gather(run, jobs, ask)
    states = decide_all(jobs, known, moment_of(run))
    return [_status(states[job.key], known[job.key]) for job in jobs]


def _status(state: JobState, known: Evidence) -> JobStatus:
    reached, answer, sent = known.files.reached, known.answer, known.submission
    left = reached.seconds_left if state.phase == "running" else None
    return JobStatus(
        key=state.key,
        phase=state.phase,
        why=state.why,
        alive=state.alive,
        anew=state.anew,
        lender=state.lender,
        same_as=state.same_as,
        epoch=reached.epoch,
        epochs=reached.epochs,
        metric=reached.metric,
        value=reached.value,
        seconds_left=left,
        images_per_second=reached.images_per_second if state.phase == "running" else None,
        partition=answer.partition or reached.partition,
        node=answer.node if answer.alive and answer.state else answer.node or reached.host,
        restarts=max(answer.restarts, reached.restarts),
        job_id=None if sent is None else sent.job_id,
        executor=None if sent is None else sent.executor,
        scheduler_state=answer.state,
        scheduler_reason=answer.reason,
    )


def counts(states: Sequence[JobStatus]) -> dict[str, int]:
    """Return how many jobs are in each phase, empty phases left out."""
    numbers: dict[str, int] = {phase: sum(state.phase == phase for state in states) for phase in PHASES}
    return {phase: number for phase, number in numbers.items() if number}


def to_json(state: JobStatus) -> dict[str, object]:
    """Return a state as plain data."""
    fields = {name: getattr(state, name) for name in JobStatus.__struct_fields__ if name != "key"}
    same_as = None if state.same_as is None else str(state.same_as)
    return {"job": str(state.key), "stage": state.key.stage, "seed": state.key.seed, **fields, "same_as": same_as}
