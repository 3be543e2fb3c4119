"""One cell per planned job: its state and the reason for it, from its files. Reads JSON only; no job is dropped.

A job counts as done only when its result.json belongs to the planned job and every artefact it names is
there, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from kd.errors import RunError
from kd.rundir.failure import read_failure
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.rundir.plan_file import PlanFile, PlannedEntry, read_plan
from kd.rundir.progress import Progress, read_progress
from kd.rundir.stage_result import DamagedResult, StageResult, damaged_artefacts, load_result
from kd.rundir.stage_spec import AnySpec, read_spec

DONE = "done"
AS_A_PARENT = {  # how the state of a parent reads in "waits for teacher seed 42, which ..."
    "failed": "failed: {reason}",
    "damaged": "is damaged: {reason}",
    "stale": "must run again: {reason}",
    "unfinished": "has not finished: {reason}",
    "not started": "has not started",
    "waiting": "{reason}",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One planned job. ``state`` is done, failed, damaged, stale, unfinished, waiting or not started."""

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
    jobs = {job.key: job for job in plan.jobs if not job.waits_for_all_ended}
    reader = _Reader(folder, jobs)
    return Run(folder=folder, plan=plan, cells=tuple(reader.cell(key) for key in jobs))


def seed_name(seed: int | None) -> str:
    """Return a seed as a key of the report; JSON's keys are texts."""
    return "single" if seed is None else str(seed)


class _Reader:
    """Reads the cells of one run, each once, a parent before its children."""

    def __init__(self, run: RunFolder, jobs: Mapping[JobKey, PlannedEntry]) -> None:
        self._run, self._jobs = run, jobs
        self._cells: dict[JobKey, Cell] = {}

    def cell(self, key: JobKey) -> Cell:
        if key not in self._cells:
            self._cells[key] = self._read(key)
        return self._cells[key]

    def _read(self, key: JobKey) -> Cell:
        job, folder = self._jobs[key], self._run.stage(key)
        parents = {name: parent.key for name, parent in job.parents.items()}
        result, own = _own_state(folder, job.fingerprint)
        state, reason = own or self._parent_state(parents) or _progress_state(folder)
        return Cell(
            run=self._run,
            key=key,
            kind=job.kind,
            role=job.role,
            fingerprint=job.fingerprint,
            parents=parents,
            spec=_spec(folder),
            result=result,
            state=state,
            reason=reason,
        )

    def _parent_state(self, parents: Mapping[str, JobKey]) -> tuple[str, str] | None:
        """Return why the job cannot start: the first parent without a result."""
        for parent in (self.cell(key) for key in parents.values() if key in self._jobs):
            if parent.done:
                continue
            because = AS_A_PARENT[parent.state].format(reason=parent.reason)
            return "waiting", f"waits for {parent.key.words}, which {because}"
        return None


def _spec(folder: StageFolder) -> AnySpec | None:
    try:
        return read_spec(folder)
    except RunError:  # a job that was planned and never submitted has none
        return None


def _own_state(folder: StageFolder, fingerprint: str) -> tuple[StageResult | None, tuple[str, str] | None]:
    """Return the job's verified result, and the state that its result.json or failure.json settles, or None."""
    try:
        result = load_result(folder)
    except FileNotFoundError:
        return None, _failure_state(folder)
    except DamagedResult as error:
        return None, ("damaged", f"its result.json cannot be read: {error.reason}")
    state = _result_state(folder, result, fingerprint)
    return (result if state[0] == DONE else None), state


def _failure_state(folder: StageFolder) -> tuple[str, str] | None:
    failure = read_failure(folder)
    if failure is None:
        return None
    progress = read_progress(folder)
    if progress is not None and progress.updated > failure.time:
        return "unfinished", f"runs again ({_heartbeat(progress)}) after it failed: {failure.reason}"
    return "failed", failure.reason


def _result_state(folder: StageFolder, result: StageResult, fingerprint: str) -> tuple[str, str]:
    if result.fingerprint != fingerprint:
        both = f"fingerprint {result.fingerprint[:12]}, planned {fingerprint[:12]}"
        return "stale", f"its result is of another job ({both})"
    damaged = damaged_artefacts(folder, result)
    if damaged:
        return "damaged", f"missing or changed since it finished: {', '.join(damaged)}"
    return DONE, ""


def _progress_state(folder: StageFolder) -> tuple[str, str]:
    progress = read_progress(folder)
    return ("unfinished", _heartbeat(progress)) if progress else ("not started", "no attempt has begun")


def _heartbeat(progress: Progress) -> str:
    """Return how far a job was. Files cannot tell a running job from a killed one."""
    host = f" on {progress.host}" if progress.host else ""
    updated = f", last heartbeat {utc(progress.updated)}" if progress.updated else ""
    return f"epoch {progress.epoch}/{progress.epochs}{host}{updated}"


def utc(seconds: float) -> str:
    """Return a Unix time as ``2026-11-20 13:24 UTC``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
