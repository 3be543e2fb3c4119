"""How a job is: the one decision, from its files, the run's journal and, where it was asked, the scheduler.

kd-status, kd-cancel, kd-submit, kd-collect and the report all call ``decide``, so they cannot contradict each other.
Pure: nothing here reads a file or asks a scheduler. Three witnesses are weighed, the most trusted first:

* a verified ``result.json`` means done, unless a newer submission makes the job anew;
* the scheduler says what is alive, and how a job ended that left neither result nor message;
* the heartbeat speaks where no scheduler can be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct, structs

from kd.durations import rough_duration
from kd.rundir.folders import JobKey
from kd.rundir.job_files import JobFiles
from kd.rundir.journal import Submission

Phase = Literal["done", "running", "queued", "failed", "stopped", "not submitted"]
PHASES: tuple[Phase, ...] = ("done", "running", "queued", "failed", "stopped", "not submitted")
OVER_WITHOUT_RESULT: tuple[Phase, ...] = ("failed", "stopped")
SILENT_SECONDS = 600.0  # a training writes its heartbeat every few seconds
FRESH_SECONDS = 60.0  # a heartbeat so recent is of a process that lives
BY_KD_CANCEL = "kd-cancel"
AGAIN = "run kd-submit again to go on"


class InPlan(Protocol):
    """What the decision needs of a planned job."""

    @property
    def key(self) -> JobKey:
        """Its name."""

    @property
    def parents(self) -> Collection[JobKey]:
        """All the jobs it waits for."""

    @property
    def waits_for_all_ended(self) -> bool:
        """Whether it runs after its parents, whatever became of them (a report)."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a scheduler says of a submitted job.

    ``not asked``: nobody asked it, or it did not answer. ``elsewhere``: a process of another machine.
    """

    standing: Literal["waiting", "running", "ended", "not asked", "elsewhere"]
    words: str = ""  # why it waits, or how it ended
    started: float = 0.0  # Unix time; 0 where it is not known
    waits_for_parents: bool = False
    impossible: bool = False  # what it waits for will never come
    held: bool = False  # by its owner, as every job is until the whole submission is journalled
    cancelled: bool = False
    host: str = ""  # of a process elsewhere
    partition: str | None = None
    node: str | None = None
    restarts: int = 0
    state: str | None = None  # the scheduler's own words
    reason: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the scheduler has the job, waiting or running."""
        return self.standing in ("waiting", "running")


NOT_ASKED = Answer(standing="not asked")


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known of one job: its files, its newest submission, what the scheduler said of that.

    ``lender`` names the run that does the job where this run has taken it over; the submission is then that run's.
    """

    files: JobFiles = JobFiles()
    submission: Submission | None = None
    answer: Answer = NOT_ASKED
    lender: str | None = None
    same_as: JobKey | None = None  # the job of this run that is done for both; the submission is then that job's
    early_death: str = ""  # the last words of a job that died before Python ran


class JobState(Struct, frozen=True, kw_only=True):
    """How one job is. ``why`` is for people, the rest for programs."""

    key: JobKey
    phase: Phase = "not submitted"
    why: str = ""
    alive: bool = False  # a scheduler or a process has it; so may a queued job that can never run (phase "failed")
    anew: bool = False  # it has a result, and is made once more
    lender: str | None = None  # the run that does it for this one
    same_as: JobKey | None = None  # the job of this run that does it too
    cause: str = ""  # why jobs that need it can never run: "teacher seed 42 failed: ..."


class Moment(Struct, frozen=True, kw_only=True):
    """When the decision is made, and for which run; ``scheduling``: a local kd-submit is at work, starting jobs."""

    run: str
    now: float
    scheduling: bool = False


def decide_all(jobs: Sequence[InPlan], known: Mapping[JobKey, Evidence], moment: Moment) -> dict[JobKey, JobState]:
    """Return how every job of a plan is; ``jobs`` come parents first."""
    states: dict[JobKey, JobState] = {}
    for job in jobs:
        states[job.key] = decide(job, known[job.key], states, moment)
    return states


def decide(job: InPlan, known: Evidence, states: Mapping[JobKey, JobState], moment: Moment) -> JobState:
    """Return how a job is, given how its parents are (``states``; parents that are not there do not count)."""
    parents = [states[key] for key in job.parents if key in states]
    state = _Decision(job, known, parents, moment).state()
    if state.phase in OVER_WITHOUT_RESULT and not state.cause:
        where = f" in run {state.lender}" if state.lender else ""
        ending = f"failed: {state.why}" if state.phase == "failed" else f"was stopped{where}"
        state = structs.replace(state, cause=f"{job.key.words} {ending}")
    return state


def is_made_anew(known: Evidence) -> bool:
    """Whether the newest submission is not the one that the result came from: the job is to be done once more.

    A result names the Slurm job that wrote it. Where it names none, times decide.
    """
    result, sent, answer = known.files.result, known.submission, known.answer
    if result is None or sent is None or (result.job_id is not None and result.job_id == sent.job_id):
        return False
    if answer.standing == "waiting" or (answer.standing == "running" and result.job_id is not None):
        return True
    return sent.time > result.finished


@dataclass(frozen=True, slots=True)
class _Decision:
    """One decision under way."""

    job: InPlan
    known: Evidence
    parents: Sequence[JobState]
    moment: Moment

    def state(self) -> JobState:
        state = self._alone()
        if (same_as := self.known.same_as) is None:
            return state
        return structs.replace(state, same_as=same_as, why=_after(f"the same as {same_as}", state.why))

    def _alone(self) -> JobState:
        """How it is, whatever other job of the run it may be too."""
        anew = is_made_anew(self.known)
        if self.known.files.result is not None and not anew:
            lender = self.known.lender
            return structs.replace(self._make("done", f"taken from run {lender}" if lender else ""), lender=lender)
        sent = self.known.submission
        state = self._never_sent() if sent is None else self._sent(sent, self.known.answer)
        if anew:
            state = structs.replace(state, anew=True, why=_after("made anew", state.why))
        if self.known.lender is not None and sent is not None:
            where = f"in run {self.known.lender} as job {sent.job_id}"
            state = structs.replace(state, lender=self.known.lender, why=_after(where, state.why))
        return state

    def _make(self, phase: Phase, why: str = "", *, alive: bool = False, cause: str = "") -> JobState:
        return JobState(key=self.job.key, phase=phase, why=why, alive=alive, cause=cause)

    def _never_sent(self) -> JobState:
        """No scheduler was given it: a local kd-submit has yet to start it, or kd-train runs it, or nobody does."""
        files = self.known.files
        if files.failure is not None and not files.went_on:
            return self._failed()
        if self._beats(FRESH_SECONDS):
            return self._running(0.0)
        cause = self._cause()
        if self.moment.scheduling and not cause:
            return self._make("queued", self._parents_it_waits_for() or "waits for its turn")
        return self._make("not submitted", f"not run: {cause}" if cause else files.fault)

    def _sent(self, sent: Submission, answer: Answer) -> JobState:
        if sent.withdrawn is not None:
            words = "cancelled" if sent.withdrawn == BY_KD_CANCEL else sent.withdrawn
            return self._make("stopped", f"{words}: {AGAIN}")
        match answer.standing:
            case "waiting":
                return self._waiting(sent, answer)
            case "running":
                return self._running(max(answer.started, sent.time), answer.words)
            case "ended":
                return self._ended(sent, answer)
            case "elsewhere":
                return self._elsewhere(sent, answer)
            case "not asked":
                return self._not_asked(sent)

    def _waiting(self, sent: Submission, answer: Answer) -> JobState:
        if answer.held and not sent.released:
            return self._make("queued", "held: run kd-submit again to release it", alive=True)
        if not answer.waits_for_parents:
            return self._make("queued", answer.words, alive=True)
        if cause := self._cause():
            return self._make("failed", f"will never run: {cause}", alive=True, cause=cause)
        if answer.impossible:
            return self._make("failed", answer.words, alive=True)
        return self._make("queued", self._parents_it_waits_for() or answer.words, alive=True)

    def _running(self, since: float, words: str = "") -> JobState:
        """A running job, with a warning when it has been silent for long."""
        heartbeat = self.known.files.heartbeat
        silent = self.moment.now - max(heartbeat, since)
        if silent > SILENT_SECONDS:
            what = "no heartbeat" if heartbeat > since else "not a single heartbeat"
            words = f"running, but {what} for {rough_duration(silent)}"
        return self._make("running", words, alive=True)

    def _ended(self, sent: Submission, answer: Answer) -> JobState:
        """The scheduler has it no more, and it left no result."""
        if self._has_failed(sent):
            return self._failed()
        cause = self._cause()
        if answer.cancelled and cause:
            return self._make("failed", f"did not run: {cause}", cause=cause)
        if answer.cancelled:
            return self._make("stopped", f"{answer.words}: {AGAIN}")
        if self.known.early_death:
            return self._died_early()
        logs = f"{answer.words}; see kd-status {self.moment.run} --logs {self.job.key}"
        return self._make("failed", logs, cause=f"{self.job.key.words} failed: {answer.words}")

    def _elsewhere(self, sent: Submission, answer: Answer) -> JobState:
        """A process that only its own machine can see. A heartbeat older than the submission is of another attempt."""
        if self._beats(SILENT_SECONDS) and self.known.files.heartbeat >= sent.time:
            return self._running(sent.time)
        if self._has_failed(sent):
            return self._failed()
        return self._make("stopped", f"interrupted{answer.host and f' on {answer.host}'}: {AGAIN}")

    def _not_asked(self, sent: Submission) -> JobState:
        """Slurm was not asked. It may have the job still, so nothing here calls the job dead but its own message."""
        if self._has_failed(sent):
            return self._failed()
        if self.known.files.heartbeat >= sent.time:
            return self._running(sent.time)
        if self.known.early_death:
            return self._died_early()
        return self._make("queued", "submitted; Slurm was not asked", alive=True)

    def _died_early(self) -> JobState:
        words = self.known.early_death
        return self._make("failed", words, cause=f"{self.job.key.words} failed: {words}")

    def _failed(self) -> JobState:
        failure = self.known.files.failure
        assert failure is not None
        if failure.interrupted:
            return self._make("stopped", f"interrupted: {AGAIN}")
        return self._make("failed", failure.message)

    def _has_failed(self, sent: Submission) -> bool:
        failure = self.known.files.failure
        return failure is not None and failure.is_of(sent)

    def _beats(self, seconds: float) -> bool:
        return self.moment.now - self.known.files.heartbeat < seconds

    def _cause(self) -> str:
        """Return why the job can never run: what became of the first parent that ended without a result."""
        if self.job.waits_for_all_ended:
            return ""
        return next((parent.cause for parent in self.parents if parent.cause), "")

    def _parents_it_waits_for(self) -> str:
        """Return in words which parents it waits for; nothing where all have ended."""
        unended = [parent for parent in self.parents if parent.phase not in ("done", *OVER_WITHOUT_RESULT)]
        stuck = [parent for parent in self.parents if parent.phase in OVER_WITHOUT_RESULT and parent.alive]
        if stuck and not unended:
            return f"waits for {len(stuck)} jobs that can never run: run kd-submit again, or kd-cancel"
        if not unended:
            return ""
        if self.job.waits_for_all_ended and len(self.parents) > 1:
            return f"waits for {len(unended)} of {len(self.parents)} jobs to end"
        more = f" and {len(unended) - 1} more" if len(unended) > 1 else ""
        return f"waits for {unended[0].key.words} ({unended[0].phase}){more}"


def _after(first: str, words: str) -> str:
    return f"{first}; {words}" if words else first
