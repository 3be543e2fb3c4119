"""How a job is: every state, on the first try, when it is made anew, and when it is taken over from another run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from kd.rundir.folders import JobKey
from kd.rundir.job_files import JobFiles, LastFailure, ResultOrigin
from kd.rundir.job_state import (
    AGAIN,
    BY_KD_CANCEL,
    OVER_WITHOUT_RESULT,
    Answer,
    Evidence,
    JobState,
    Moment,
    Phase,
    decide,
    decide_all,
)
from kd.rundir.journal import Submission

SENT, NOW = 1000.0, 2000.0
STUDENT, TEACHER, REPORT = JobKey("student", 1), JobKey("teacher", 1), JobKey("report", None)
MOMENT = Moment(run="trial", now=NOW)
OWN, OLDER = ResultOrigin(job_id="7_0", finished=1900.0), ResultOrigin(job_id="3_0", finished=500.0)


@dataclass(frozen=True)
class Job:
    """A planned job."""

    key: JobKey = STUDENT
    parents: Collection[JobKey] = (TEACHER,)
    waits_for_all_ended: bool = False


SUBMISSION = Submission(key=STUDENT, job_id="7_0", token="t", executor="slurm", released=True, time=SENT)
TEACHER_DONE = JobState(key=TEACHER, phase="done")


def ended(words: str = "ended without a result", **fields: bool) -> Answer:
    return Answer(standing="ended", words=words, **fields)


def failure(message: str = "no data", job_id: str | None = "7_0", *, interrupted: bool = False) -> LastFailure:
    return LastFailure(message=message, job_id=job_id, time=1500.0, interrupted=interrupted)


def known(answer: Answer, files: JobFiles | None = None, **changes: object) -> Evidence:
    beating = JobFiles(heartbeat=NOW - 5)
    sent = replace(SUBMISSION, **changes)  # type: ignore[arg-type]
    return Evidence(files=beating if files is None else files, submission=sent, answer=answer)


@dataclass(frozen=True)
class Case:
    """What is known of a job that has no result of its newest submission, and how it is."""

    evidence: Evidence
    phase: Phase
    why: str
    alive: bool = False


WAITING = Answer(standing="waiting", words="other jobs come first")
RUNNING = Answer(standing="running", started=1100.0)
NOBODY = Answer(standing="not asked")
ELSEWHERE = Answer(standing="elsewhere", host="node7")
NO_FILES = JobFiles()
CASES: dict[str, Case] = {
    "queued": Case(known(WAITING, NO_FILES), "queued", "other jobs come first", True),
    "held by a submission that was cut short": Case(
        known(replace(WAITING, held=True), NO_FILES, released=False),
        "queued",
        "held: run kd-submit again to release it",
        True,
    ),
    "can never run": Case(
        known(replace(WAITING, waits_for_parents=True, impossible=True, words="will never run"), NO_FILES),
        "failed",
        "will never run",
        True,
    ),
    "running": Case(known(RUNNING), "running", "", True),
    "running, but silent": Case(
        known(RUNNING, JobFiles(heartbeat=NOW - 720)), "running", "running, but no heartbeat for 12 min", True
    ),
    "running, never heard of": Case(
        known(RUNNING, NO_FILES), "running", "running, but not a single heartbeat for 15 min", True
    ),
    "failed with a message": Case(known(ended(), JobFiles(failure=failure())), "failed", "no data"),
    "died without a message": Case(
        known(ended("ran out of memory"), NO_FILES),
        "failed",
        "ran out of memory; see kd-status trial --logs student/seed-1",
    ),
    "an older attempt's message": Case(
        known(ended("ran out of memory"), JobFiles(failure=failure("long ago", "3_0"))),
        "failed",
        "ran out of memory; see kd-status trial --logs student/seed-1",
    ),
    "cancelled by scancel": Case(
        known(ended("cancelled by root", cancelled=True), NO_FILES), "stopped", f"cancelled by root: {AGAIN}"
    ),
    "cancelled by kd-cancel": Case(known(NOBODY, NO_FILES, withdrawn=BY_KD_CANCEL), "stopped", f"cancelled: {AGAIN}"),
    "rolled back": Case(
        known(NOBODY, NO_FILES, withdrawn="rolled back: no space"), "stopped", f"rolled back: no space: {AGAIN}"
    ),
    "interrupted": Case(
        known(ended(), JobFiles(failure=failure(interrupted=True))), "stopped", f"interrupted: {AGAIN}"
    ),
    "interrupted elsewhere": Case(
        known(ELSEWHERE, JobFiles(heartbeat=NOW - 700)), "stopped", f"interrupted on node7: {AGAIN}"
    ),
    "elsewhere, and an older attempt's heartbeat": Case(
        known(ELSEWHERE, JobFiles(heartbeat=NOW - 5), time=NOW - 2), "stopped", f"interrupted on node7: {AGAIN}"
    ),
    "running elsewhere": Case(known(ELSEWHERE), "running", "", True),
    "Slurm is silent": Case(known(NOBODY, NO_FILES), "queued", "submitted; Slurm was not asked", True),
    "Slurm is silent, the heartbeat an older attempt's": Case(
        known(NOBODY, JobFiles(heartbeat=NOW - 5), time=NOW - 2), "queued", "submitted; Slurm was not asked", True
    ),
    "Slurm is silent, the job is not": Case(known(NOBODY), "running", "", True),
    "Slurm is silent, and the job has failed": Case(known(NOBODY, JobFiles(failure=failure())), "failed", "no data"),
}


def state_of(evidence: Evidence, teacher: JobState = TEACHER_DONE, moment: Moment = MOMENT) -> JobState:
    return decide(Job(), evidence, {TEACHER: teacher}, moment)


@pytest.mark.parametrize("name", CASES)
def test_on_the_first_try(name: str) -> None:
    case = CASES[name]
    state = state_of(case.evidence)
    assert (state.phase, state.why, state.alive) == (case.phase, case.why, case.alive)
    assert (state.anew, state.lender) == (False, None)
    assert bool(state.cause) is (case.phase in OVER_WITHOUT_RESULT)


@pytest.mark.parametrize("name", CASES)
def test_made_anew_an_old_result_hides_nothing(name: str) -> None:
    case = CASES[name]
    evidence = replace(case.evidence, files=replace(case.evidence.files, result=OLDER))
    state = state_of(evidence)
    assert (state.phase, state.alive, state.anew) == (case.phase, case.alive, True)
    assert state.why == f"made anew; {case.why}".removesuffix("; ")


@pytest.mark.parametrize("name", CASES)
def test_taken_over_it_is_as_it_is_in_the_lender(name: str) -> None:
    case = CASES[name]
    state = state_of(replace(case.evidence, lender="s2"))
    assert (state.phase, state.alive, state.lender) == (case.phase, case.alive, "s2")
    assert state.why == f"in run s2 as job 7_0; {case.why}".removesuffix("; ")


@pytest.mark.parametrize("name", CASES)
def test_the_result_of_this_very_submission_is_done_whatever_else_is_said(name: str) -> None:
    evidence = CASES[name].evidence
    for lender in (None, "s2"):
        state = state_of(replace(evidence, files=replace(evidence.files, result=OWN), lender=lender))
        assert (state.phase, state.alive, state.anew, state.why) == (
            "done",
            False,
            False,
            "taken from run s2" if state.lender else "",
        )


@pytest.mark.parametrize("name", CASES)
def test_a_result_without_a_job_is_of_now_when_it_is_newer(name: str) -> None:
    """kd-train by hand, or the local executor: the result names no job, so times decide; the queue is never hidden."""
    evidence = CASES[name].evidence
    newer = ResultOrigin(finished=evidence.submission.time + 1 if evidence.submission else 0.0)
    state = state_of(replace(evidence, files=replace(evidence.files, result=newer)))
    assert state.phase == (CASES[name].phase if evidence.answer.standing == "waiting" else "done")


def test_a_finished_job_that_nobody_sent_is_done() -> None:
    assert state_of(Evidence(files=JobFiles(result=OLDER))).phase == "done"


@pytest.mark.parametrize(
    ("files", "teacher", "scheduling", "phase", "why"),
    [
        (NO_FILES, TEACHER_DONE, False, "not submitted", ""),
        (NO_FILES, TEACHER_DONE, True, "queued", "waits for its turn"),
        (NO_FILES, JobState(key=TEACHER, phase="running"), True, "queued", "waits for teacher seed 1 (running)"),
        (NO_FILES, JobState(key=TEACHER, phase="failed", cause="it broke"), True, "not submitted", "not run: it broke"),
        (JobFiles(heartbeat=NOW - 5), TEACHER_DONE, False, "running", ""),
        (JobFiles(heartbeat=NOW - 300), TEACHER_DONE, False, "not submitted", ""),
        (JobFiles(failure=failure()), TEACHER_DONE, False, "failed", "no data"),
        (JobFiles(failure=failure(), went_on=True, heartbeat=NOW - 5), TEACHER_DONE, False, "running", ""),
        (JobFiles(damage="stale", fault="of another plan"), TEACHER_DONE, False, "not submitted", "of another plan"),
    ],
)
def test_never_sent(files: JobFiles, teacher: JobState, scheduling: bool, phase: Phase, why: str) -> None:
    state = state_of(Evidence(files=files), teacher, replace(MOMENT, scheduling=scheduling))
    assert (state.phase, state.why) == (phase, why)


def test_children_name_the_first_failure_down_the_whole_line() -> None:
    grandchild = Job(JobKey("smaller", 1), (STUDENT,))
    waits = known(replace(WAITING, waits_for_parents=True), NO_FILES)
    evidence = {
        TEACHER: replace(CASES["failed with a message"].evidence),
        STUDENT: waits,
        grandchild.key: waits,
    }
    states = decide_all([Job(TEACHER, ()), Job(), grandchild], evidence, MOMENT)
    for key in (STUDENT, grandchild.key):
        assert states[key].why == "will never run: teacher seed 1 failed: no data"
        assert states[key].alive, "it is in the queue still: kd-cancel and kd-submit must remove it"


def test_a_report_waits_for_all_to_end_and_never_gives_up() -> None:
    failed = JobState(key=TEACHER, phase="failed", cause="it broke")
    report = Job(REPORT, (TEACHER, STUDENT), waits_for_all_ended=True)
    waits = known(replace(WAITING, waits_for_parents=True), NO_FILES)
    running = {TEACHER: failed, STUDENT: JobState(key=STUDENT, phase="running")}
    assert decide(report, waits, running, MOMENT).why == "waits for 1 of 2 jobs to end"
    stuck = {TEACHER: failed, STUDENT: JobState(key=STUDENT, phase="failed", alive=True, cause="it broke")}
    assert decide(report, waits, stuck, MOMENT).why.startswith("waits for 1 jobs that can never run")
