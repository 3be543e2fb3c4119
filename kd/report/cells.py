"""One cell per planned job: what its files say came of it, in words. Reads JSON only, and never drops a job.

A job counts as done only when its result.json belongs to the planned job and every artefact it names is
there, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kd.errors import RunError
from kd.jobfile.plan import FORMAT
from kd.report.statistics import finite
from kd.rundir.folders import JobKey, RunFolder, StageFolder, read_object

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
    spec: dict[str, Any]
    result: dict[str, Any] | None
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
    plan: dict[str, Any]
    cells: tuple[Cell, ...]


def read_run(path: Path) -> Run:
    """Read a run folder. Jobs of kind ``report`` make no measurement and are left out.

    Raises RunError when the folder is no run or its plan is not one that this version reads.
    """
    folder = RunFolder(path.resolve()).require()
    plan = read_object(folder.plan)
    if plan is None or plan.get("format") != FORMAT:
        raise RunError(f"{folder.plan}: not a plan of format {FORMAT}; another version of kd wrote it?")
    jobs = {job_key(job): job for job in plan.get("jobs", []) if job.get("kind") != "report"}
    reader = _Reader(folder, jobs)
    return Run(folder=folder, plan=plan, cells=tuple(reader.cell(key) for key in jobs))


def job_key(value: Mapping[str, Any]) -> JobKey:
    """Return the key of a job, or of a reference to one, as plan.json writes it."""
    return JobKey(value["stage"], value.get("seed"))


def seed_name(seed: int | None) -> str:
    """Return a seed as a key of the report; JSON's keys are texts."""
    return "single" if seed is None else str(seed)


def in_words(key: JobKey) -> str:
    """Return ``teacher seed 42``, or ``teacher`` where the stage is not repeated over seeds."""
    return key.stage if key.seed is None else f"{key.stage} seed {key.seed}"


class _Reader:
    """Reads the cells of one run, each once, a parent before its children."""

    def __init__(self, run: RunFolder, jobs: Mapping[JobKey, Mapping[str, Any]]) -> None:
        self._run, self._jobs = run, jobs
        self._cells: dict[JobKey, Cell] = {}

    def cell(self, key: JobKey) -> Cell:
        if key not in self._cells:
            self._cells[key] = self._read(key)
        return self._cells[key]

    def _read(self, key: JobKey) -> Cell:
        job, folder = self._jobs[key], self._run.stage(key)
        parents = {name: job_key(parent) for name, parent in job.get("parents", {}).items()}
        own = _own_state(folder, job.get("fingerprint", ""))
        state, reason = own or self._parent_state(parents) or _progress(folder)
        return Cell(
            run=self._run,
            key=key,
            kind=job.get("kind", ""),
            role=job.get("role"),
            fingerprint=job.get("fingerprint", ""),
            parents=parents,
            spec=read_object(folder.spec) or {},
            result=folder.read_result() if state == DONE else None,
            state=state,
            reason=reason,
        )

    def _parent_state(self, parents: Mapping[str, JobKey]) -> tuple[str, str] | None:
        """Return why the job cannot start: the first parent without a result."""
        for parent in (self.cell(key) for key in parents.values() if key in self._jobs):
            if parent.done:
                continue
            because = AS_A_PARENT[parent.state].format(reason=parent.reason)
            return "waiting", f"waits for {in_words(parent.key)}, which {because}"
        return None


def _own_state(folder: StageFolder, fingerprint: str) -> tuple[str, str] | None:
    """Return the state that the job's own result.json or failure.json settles, or None."""
    result = folder.read_result()
    if result is not None:
        return _result_state(folder, result, fingerprint)
    if folder.result.exists():
        return "damaged", "its result.json cannot be read"
    failure = read_object(folder.failure)
    if failure is None:
        return None
    message = first_line(failure.get("message")) or first_line(failure.get("error")) or "no message was left"
    progress = read_object(folder.progress) or {}
    if (finite(progress.get("updated")) or 0) > (finite(failure.get("time")) or 0):
        return "unfinished", f"runs again ({_heartbeat(folder)}) after it failed: {message}"
    return "failed", message


def _result_state(folder: StageFolder, result: Mapping[str, Any], fingerprint: str) -> tuple[str, str]:
    found = str(result.get("fingerprint", ""))
    if fingerprint and found != fingerprint:
        return "stale", f"its result is of another job (fingerprint {found[:12]}, planned {fingerprint[:12]})"
    damaged = folder.damaged_artefacts()
    if damaged:
        return "damaged", f"missing or changed since it finished: {', '.join(damaged)}"
    return DONE, ""


def _progress(folder: StageFolder) -> tuple[str, str]:
    heartbeat = _heartbeat(folder)
    return ("unfinished", heartbeat) if heartbeat else ("not started", "no attempt has begun")


def _heartbeat(folder: StageFolder) -> str:
    """Return how far progress.json says the job is. Files cannot tell a running job from a killed one."""
    progress = read_object(folder.progress)
    if progress is None:
        return ""
    host = f" on {progress['host']}" if progress.get("host") else ""
    updated = finite(progress.get("updated"))
    heard = f", last heard from {utc(updated)}" if updated is not None else ""
    return f"epoch {progress.get('epoch', '?')}/{progress.get('epochs', '?')}{host}{heard}"


def utc(seconds: float) -> str:
    """Return a Unix time as ``2026-11-20 13:24 UTC``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def first_line(value: object) -> str:
    """Return the first line of a text, trimmed; empty when it is no text."""
    lines = value.strip().splitlines() if isinstance(value, str) else []
    return lines[0].strip() if lines else ""
