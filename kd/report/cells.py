"""One cell per planned job: its state and the reason for it, from its files. Reads JSON only; no job is dropped.

A job counts as done only when its result.json belongs to the planned job and every artefact it names is
there, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from kd.errors import RunError
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.rundir.job_evidence import ask_processes, gather, moment_of
from kd.rundir.job_state import Evidence, JobState, decide_all
from kd.rundir.plan_file import PlanFile, PlannedEntry, read_plan
from kd.rundir.progress import Progress, read_progress
from kd.rundir.stage_result import StageResult, damaged_artefacts, read_result
from kd.rundir.stage_spec import AnySpec, read_spec

DONE = "done"
AS_A_PARENT = {  # how the state of a parent reads in "waits for teacher seed 42, which ..."
    "failed": "failed: {reason}",
    "stopped": "was stopped: {reason}",
    "damaged": "is damaged: {reason}",
    "stale": "must run again: {reason}",
    "unfinished": "has not finished: {reason}",
    "not started": "has not started",
    "waiting": "{reason}",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One planned job. ``state``: done, failed, stopped, damaged, stale, unfinished, waiting or not started."""

    run: RunFolder
    key: JobKey
    kind: str
    role: str | None
    fingerprint: str
    parents: dict[str, JobKey]
    spec: AnySpec | None
    result: StageResult | None
    state: str
    reason: str
    same_as: JobKey | None = None  # the job of this run that was trained for both
    lender: str | None = None  # the run it was taken over from, with its owner where that is another user

    @property
    def folder(self) -> Path:
        """The job's own folder."""
        return self.run.stage(self.key).path

    @property
    def done(self) -> bool:
        """Whether a verified result is there."""
        return self.state == DONE

    @property
    def seed(self) -> str:
        """The seed as a key of the report: ``"42"``, or ``"single"`` where the stage is not repeated."""
        return seed_name(self.key.seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run folder, its plan and what came of every planned job, in the plan's order."""

    folder: RunFolder
    plan: PlanFile
    cells: tuple[Cell, ...]


def read_run(path: Path) -> Run:
    """Read a run folder. Jobs of kind ``report`` make no measurement and are left out.

    Raises RunError when the folder is no run or its plan is not one that this version reads.
    """
    folder = RunFolder(path.resolve()).require()
    plan = read_plan(folder)
    jobs = [_Job(entry, plan.parents_of(entry)) for entry in plan.jobs if not entry.waits_for_all_ended]
    known = gather(folder, jobs, ask_processes, damaged_artefacts)
    states = decide_all(jobs, known, moment_of(folder))
    cells: dict[JobKey, Cell] = {}
    for job in jobs:
        cells[job.key] = _cell(folder, job.entry, states[job.key], known[job.key], cells)
    return Run(folder=folder, plan=plan, cells=tuple(cells.values()))


@dataclass(frozen=True, slots=True)
class _Job:
    """A planned job as the decision about its state reads it."""

    entry: PlannedEntry
    parents: tuple[JobKey, ...]
    waits_for_all_ended: bool = False

    @property
    def key(self) -> JobKey:
        return self.entry.key

    @property
    def fingerprint(self) -> str:
        return self.entry.fingerprint


def seed_name(seed: int | None) -> str:
    """Return a seed as a key of the report; JSON's keys are texts."""
    return "single" if seed is None else str(seed)


def _cell(run: RunFolder, job: PlannedEntry, state: JobState, known: Evidence, before: Mapping[JobKey, Cell]) -> Cell:
    folder = run.stage(job.key)
    parents = {name: parent.key for name, parent in job.parents.items()}
    result = read_result(folder) if state.phase == DONE else None
    word, reason = _in_the_reports_words(
        folder, state, known, [before[key] for key in parents.values() if key in before]
    )
    return Cell(
        run=run,
        key=job.key,
        kind=job.kind,
        role=job.role,
        fingerprint=job.fingerprint,
        parents=parents,
        spec=_spec(folder),
        result=result,
        state=word,
        reason=reason,
        same_as=state.same_as,
        lender=known.lender,
    )


def _in_the_reports_words(
    folder: StageFolder, state: JobState, known: Evidence, parents: Sequence[Cell]
) -> tuple[str, str]:
    """Return a state as the report calls it. It adds what only verified files show: damage, and how far a job came."""
    files, own_ending = known.files, state.cause.startswith(f"{state.key.words} ")
    if state.phase == DONE:
        return DONE, ""
    if files.damage and not state.alive and not _ended_since(known):
        return files.damage, files.fault
    if own_ending:
        return state.phase, state.why
    for parent in parents:
        if not parent.done:
            because = AS_A_PARENT[parent.state].format(reason=parent.reason)
            return "waiting", f"waits for {parent.key.words}, which {because}"
    progress = read_progress(folder)
    if progress is not None:
        again = f"runs again ({_heartbeat(progress)}) after it failed: {files.failure.message}" if files.failure else ""
        return "unfinished", again or _heartbeat(progress)
    return ("waiting", state.why) if state.alive else ("not started", "no attempt has begun")


def _ended_since(known: Evidence) -> bool:
    """Whether an attempt that was to replace a damaged result failed or was cancelled: that is the news."""
    sent, failure = known.submission, known.files.failure
    return sent is not None and (sent.withdrawn is not None or (failure is not None and failure.is_of(sent)))


def _spec(folder: StageFolder) -> AnySpec | None:
    try:
        return read_spec(folder)
    except RunError:  # a job that was planned and never submitted has none
        return None


def _heartbeat(progress: Progress) -> str:
    """Return how far a job was. Files cannot tell a running job from a killed one."""
    host = f" on {progress.host}" if progress.host else ""
    updated = f", last heartbeat {utc(progress.updated)}" if progress.updated else ""
    return f"epoch {progress.epoch}/{progress.epochs}{host}{updated}"


def utc(seconds: float) -> str:
    """Return a Unix time as ``2026-11-20 13:24 UTC``."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # of no calendar: somebody wrote it by hand
        return f"{seconds:g} s"
