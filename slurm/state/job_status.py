"""Where every job of a run stands now: the run's files first, then squeue, then sacct, joined into one state each.

``result.json`` is "done" whatever the scheduler says; the scheduler says what is alive, and ``failure.json`` why a job
is not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from kd.rundir.folders import JobKey, RunFolder
from slurm.cluster import pending_reasons
from slurm.cluster.job_states import Record, query
from slurm.state.attempt_files import Reached, Traces, read_traces, result_reached
from slurm.state.logs import complaint
from slurm.state.plan_file import Planned, read_plan
from slurm.state.submissions import Journal, Submission

if TYPE_CHECKING:
    from slurm.cluster.profile import Profile

Phase = Literal["done", "running", "queued", "failed", "stopped", "not submitted"]
PHASES: tuple[Phase, ...] = ("done", "running", "queued", "failed", "stopped", "not submitted")
HOPELESS: tuple[Phase, ...] = ("failed", "stopped")
STALE_SECONDS = 600.0  # a training writes its heartbeat every few seconds
FRESH_SECONDS = 60.0  # a heartbeat so recent is of a process that lives
BY_KD_CANCEL = "kd-cancel"
AGAIN = "run kd-submit again to go on"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """Where one job stands. ``why`` is for people, the rest for programs."""

    key: JobKey
    phase: Phase
    why: str = ""
    alive: bool = False  # the scheduler or a process has it; so may a queued job that can never run (phase "failed")
    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    seconds_left: float | None = None
    partition: str | None = None
    node: str | None = None
    restarts: int = 0
    job_id: str | None = None
    executor: str | None = None
    scheduler_state: str | None = None  # Slurm's own words
    scheduler_reason: str | None = None


def snapshot(run: RunFolder, profile: Profile | None = None, *, ask: bool = True) -> list[JobState]:
    """Return where every planned job stands, in the plan's order; ``ask=False`` leaves Slurm in peace.

    Raises RunError for a folder that is no run, and ClusterError when Slurm has jobs of the run and does not answer.
    """
    jobs = read_plan(run)
    journal = Journal(run.journal)
    newest = journal.newest()
    results = {job.key: result for job in jobs if (result := _result(run, job)) is not None}
    unfinished = [found for key, found in newest.items() if key not in results]
    records = _ask_slurm(unfinished, profile is None or profile.accounting) if ask else None
    # The other files are read, and missing results looked for again, only now: what ended meanwhile is then found.
    scheduler = journal.scheduler()
    joiner = _Joiner(run, records, scheduler is not None and scheduler.alive, time.time())
    return [joiner.add(job, newest.get(job.key), results.get(job.key) or _result(run, job)) for job in jobs]


def _result(run: RunFolder, job: Planned) -> dict[str, Any] | None:
    """Return the result of a job, if there is one and it is of this plan."""
    result = run.stage(job.key).read_result()
    return result if result is not None and result.get("fingerprint") == job.fingerprint else None


def _ask_slurm(submissions: Sequence[Submission], accounting: bool) -> dict[str, Record]:
    """Return Slurm's records of the jobs it was sent, by job id."""
    wanted = {found.job_id: found for found in submissions if found.executor == "slurm" and found.withdrawn is None}
    records = query(wanted, accounting=accounting)
    return {job_id: record for job_id, record in records.items() if _is_ours(record, wanted[job_id])}


def _is_ours(record: Record, submission: Submission) -> bool:
    """Whether Slurm speaks of the job we sent: a cluster that was set up anew gives old ids to other jobs."""
    return not record.comment or submission.token in record.comment


@dataclass(slots=True)
class _Joiner:
    """Joins what is known of one job after another, parents first. ``records`` is None when Slurm was not asked."""

    run: RunFolder
    records: Mapping[str, Record] | None
    scheduled: bool  # a local kd-submit is at work
    now: float
    states: dict[JobKey, JobState] = field(default_factory=dict)
    causes: dict[JobKey, str] = field(default_factory=dict)  # of jobs without hope: "teacher seed 42 failed: ..."

    def add(self, job: Planned, submission: Submission | None, result: Mapping[str, Any] | None) -> JobState:
        if result is not None:
            state = replace(_begin(job.key, submission, result_reached(result)), phase="done")
        else:
            traces = read_traces(self.run.stage(job.key))
            state = self._unfinished(job, submission, traces, _begin(job.key, submission, traces.reached))
        if state.phase in HOPELESS:
            self.causes.setdefault(job.key, f"{job.key.words} {_ending(state)}")
        self.states[job.key] = state
        return state

    def _unfinished(self, job: Planned, submission: Submission | None, traces: Traces, begun: JobState) -> JobState:
        if submission is None:
            return self._without_submission(job, begun, traces)
        if submission.withdrawn is not None:
            words = "cancelled" if submission.withdrawn == BY_KD_CANCEL else submission.withdrawn
            return replace(begun, phase="stopped", why=f"{words}: {AGAIN}")
        if submission.executor != "slurm":
            return self._in_process(begun, submission, traces)
        if self.records is None:
            return self._unasked(begun, submission, traces)
        record = self.records.get(submission.job_id)
        if record is None or not record.alive:
            return self._ended(job, _with_record(begun, record), submission, record, traces)
        begun = replace(_with_record(begun, record), alive=True)
        if record.meaning.standing == "waiting":
            return self._waiting(job, begun, submission, record)
        return self._running(begun, max(record.start or 0.0, submission.time), traces, record.meaning.words)

    def _without_submission(self, job: Planned, begun: JobState, traces: Traces) -> JobState:
        """A job that no scheduler was given: a local kd-submit has yet to start it, or kd-train runs it."""
        if traces.failed_in(None):
            return _failed(begun, traces)
        if self._beats(traces, FRESH_SECONDS):
            return self._running(begun, 0.0, traces)
        if self.scheduled and self._cause(job) is None:
            return replace(begun, phase="queued", why=self._waits_for(job) or "waits for its turn")
        return replace(begun, why=f"not run: {cause}" if (cause := self._cause(job)) else "")

    def _in_process(self, begun: JobState, submission: Submission, traces: Traces) -> JobState:
        process = submission.process
        if process is not None and process.here:
            alive = process.alive
        else:  # of another machine, or unknown: only its heartbeat tells
            alive = self._beats(traces, STALE_SECONDS) and traces.heard >= submission.time
        if alive:
            return self._running(begun, submission.time, traces)
        if traces.failed_in(submission):
            return _failed(begun, traces)
        where = "" if process is None or process.here else f" on {process.host}"
        return replace(begun, phase="stopped", why=f"interrupted{where}: {AGAIN}")

    def _unasked(self, begun: JobState, submission: Submission, traces: Traces) -> JobState:
        if traces.failed_in(submission):
            return _failed(begun, traces)
        if self._beats(traces, FRESH_SECONDS):
            return self._running(begun, 0.0, traces)
        return replace(begun, phase="queued", alive=True, why="submitted; Slurm was not asked")

    def _waiting(self, job: Planned, begun: JobState, submission: Submission, record: Record) -> JobState:
        if record.reason == "JobHeldUser" and not submission.released:
            return replace(begun, phase="queued", why="held: run kd-submit again to release it")
        words = pending_reasons.waiting_words(record, self.now)
        if not record.reason.startswith("Dependency"):
            return replace(begun, phase="queued", why=words)
        cause = self._cause(job)
        if cause is not None:
            return self._blocked(begun, "will never run", cause)
        if record.reason == "DependencyNeverSatisfied":
            return replace(begun, phase="failed", why=words)
        return replace(begun, phase="queued", why=self._waits_for(job) or words)

    def _blocked(self, begun: JobState, words: str, cause: str) -> JobState:
        self.causes[begun.key] = cause  # its own children name the first failure, not this one
        return replace(begun, phase="failed", why=f"{words}: {cause}")

    def _running(self, begun: JobState, since: float, traces: Traces, words: str = "") -> JobState:
        """A running job, with a warning when it has been silent for long."""
        silent = self.now - max(traces.heard, since)
        if silent > STALE_SECONDS:
            what = "no heartbeat" if traces.heard > since else "not a single heartbeat"
            words = f"running, but {what} for {pending_reasons.duration(silent)}"
        return replace(begun, phase="running", alive=True, why=words, seconds_left=traces.reached.seconds_left)

    def _ended(
        self, job: Planned, begun: JobState, submission: Submission, record: Record | None, traces: Traces
    ) -> JobState:
        """A job that Slurm has no more and that left no result."""
        if traces.failed_in(submission):
            return _failed(begun, traces)
        cancelled = record is not None and record.state == "CANCELLED"
        cause = self._cause(job)
        if cancelled and cause is not None:
            return self._blocked(begun, "did not run", cause)
        words = "ended without a result" if record is None else pending_reasons.ended_words(record)
        if record is not None and record.state == "FAILED" and (said := complaint(self.run, submission)):
            words = f"{words} ({said})"
        if cancelled:
            return replace(begun, phase="stopped", why=f"{words}: {AGAIN}")
        self.causes[job.key] = f"{job.key.words} failed: {words}"
        return replace(begun, phase="failed", why=f"{words}; see kd-status {self.run.name} --logs {job.key}")

    def _beats(self, traces: Traces, seconds: float) -> bool:
        return self.now - traces.heard < seconds

    def _cause(self, job: Planned) -> str | None:
        """Return why a job can never run: what became of the first parent that ended without a result."""
        if job.waits_for_all_ended:
            return None
        return next((self.causes[parent] for parent in job.parents if parent in self.causes), None)

    def _waits_for(self, job: Planned) -> str:
        """Return in words which parents a job waits for."""
        parents = [self.states[key] for key in job.parents]
        unended = [state for state in parents if state.phase not in ("done", *HOPELESS)]
        stuck = [state for state in parents if state.phase in HOPELESS and state.alive]
        if stuck and not unended:
            return f"waits for {len(stuck)} jobs that can never run: run kd-submit again, or kd-cancel"
        if not unended:
            return ""
        if job.waits_for_all_ended and len(job.parents) > 1:
            return f"waits for {len(unended)} of {len(job.parents)} jobs to end"
        more = f" and {len(unended) - 1} more" if len(unended) > 1 else ""
        return f"waits for {unended[0].key.words} ({unended[0].phase}){more}"


def _begin(key: JobKey, submission: Submission | None, reached: Reached) -> JobState:
    """Return what the files and the journal say, the phase still open."""
    return JobState(
        key=key,
        phase="not submitted",
        epoch=reached.epoch,
        epochs=reached.epochs,
        metric=reached.metric,
        value=reached.value,
        partition=reached.partition,
        node=reached.host,
        restarts=reached.restarts,
        job_id=None if submission is None else submission.job_id,
        executor=None if submission is None else submission.executor,
    )


def _with_record(begun: JobState, record: Record | None) -> JobState:
    if record is None:
        return begun
    return replace(
        begun,
        partition=record.partition or begun.partition,
        node=record.node if record.alive else record.node or begun.node,
        restarts=max(record.restarts or 0, begun.restarts),
        scheduler_state=record.state,
        scheduler_reason=record.reason,
    )


def _failed(begun: JobState, traces: Traces) -> JobState:
    if traces.interrupted:
        return replace(begun, phase="stopped", why=f"interrupted: {AGAIN}")
    return replace(begun, phase="failed", why=traces.message)


def _ending(state: JobState) -> str:
    return f"failed: {state.why}" if state.phase == "failed" else "was stopped"


def counts(states: Sequence[JobState]) -> dict[str, int]:
    """Return how many jobs are in each phase, empty phases left out."""
    numbers: dict[str, int] = {phase: sum(state.phase == phase for state in states) for phase in PHASES}
    return {phase: number for phase, number in numbers.items() if number}


def to_json(state: JobState) -> dict[str, Any]:
    """Return a state as plain data."""
    fields = {name: getattr(state, name) for name in JobState.__dataclass_fields__ if name != "key"}
    return {"job": str(state.key), "stage": state.key.stage, "seed": state.key.seed, **fields}
