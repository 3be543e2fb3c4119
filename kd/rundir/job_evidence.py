"""The evidence on every job of a run: its files, its newest submission, and what schedulers say of those that need it.

A job that was taken over from another run is a link to that run's stage folder; that run's journal has its submission.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from kd.rundir.early_death import early_death
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.rundir.job_files import JobFiles, read_finished, read_job_files
from kd.rundir.job_state import NOT_ASKED, Answer, Evidence, InPlan, Moment
from kd.rundir.journal import Journal, Submission
from kd.rundir.ownership import user_name
from kd.rundir.stage_result import StageResult


class PlannedHere(InPlan, Protocol):
    """A job of plan.json."""

    @property
    def fingerprint(self) -> str:
        """What its result must name."""


class Sent(NamedTuple):
    """A submission and the run whose journal has it."""

    run: RunFolder
    submission: Submission


Ask = Callable[[Sequence[Sent]], Sequence[Answer]]


def gather(
    run: RunFolder,
    jobs: Sequence[PlannedHere],
    ask: Ask,
    damaged_artefacts: Callable[[StageFolder, StageResult], list[str]] | None = None,
) -> dict[JobKey, Evidence]:
    """Return what is known of each job. ``ask`` gets one call with all submissions whose jobs may be alive."""
    sent = newest_submissions(run, jobs)
    finished: dict[JobKey, JobFiles] = {}
    for job in jobs:
        newest = sent[job.key].submission if job.key in sent else None
        files = read_finished(run.stage(job.key), job.fingerprint, newest)
        if files is not None and damaged_artefacts is None:
            finished[job.key] = files
    asked = [job.key for job in jobs if job.key in sent and _may_live(sent[job.key]) and job.key not in finished]
    answers = dict(zip(asked, ask([sent[key] for key in asked]) if asked else (), strict=True))
    # The other files are read, and missing results looked for again, only now: what ended meanwhile is then found.
    known: dict[JobKey, Evidence] = {}
    for job in jobs:
        own = sent.get(job.key)
        submission = None if own is None else own.submission
        files = finished.get(job.key)
        if files is None:
            files = read_job_files(run.stage(job.key), job.fingerprint, submission, damaged_artefacts)
        known[job.key] = Evidence(
            files=files,
            submission=submission,
            answer=answers.get(job.key, NOT_ASKED),
            early_death="" if own is None else early_death(own.run, own.submission),
            lender=lender_of(run.stage(job.key)),
            same_as=same_in_run(run, job.key),
        )
    return known


def same_in_run(run: RunFolder, key: JobKey) -> JobKey | None:
    """Return the job of this run that is done in a job's stead, where two stages are the same but for their names."""
    owner = owner_of(run.stage(key))
    return owner.key if owner.key != key and _is_of(owner, run) else None


def _is_of(folder: StageFolder, run: RunFolder) -> bool:
    """Whether a folder is of a run, whose own path may lead over links."""
    return folder.run.path in (run.path, run.path.resolve())


def moment_of(run: RunFolder) -> Moment:
    """Return now, and whether a local kd-submit is at work on the run."""
    scheduler = Journal(run.journal).scheduler()
    return Moment(run=run.name, now=time.time(), scheduling=scheduler is not None and scheduler.alive)


def newest_submissions(run: RunFolder, jobs: Sequence[InPlan]) -> dict[JobKey, Sent]:
    """Return the newest submission of each job, also where it was withdrawn; of a taken-over job, its lender's."""
    journals: dict[Path, Mapping[JobKey, Submission]] = {}
    found: dict[JobKey, Sent] = {}
    for job in jobs:
        folder = owner_of(run.stage(job.key))
        owner = folder.run
        if owner.path not in journals:
            journals[owner.path] = Journal(owner.journal).newest()
        submission = journals[owner.path].get(folder.key)
        if submission is not None:
            found[job.key] = Sent(owner, submission)
    return found


def lender_of(folder: StageFolder) -> str | None:
    """Return the name of the run that a job was taken over from, with its owner where that is another user."""
    if not folder.path.is_symlink():
        return None
    lender = owner_of(folder).run
    if lender.path in (folder.run.path, folder.run.path.resolve()):
        return None  # the same job of another stage of this run
    try:
        user = os.stat(folder.path).st_uid
    except OSError:  # it was removed since
        return lender.name
    return lender.name if user == os.geteuid() else f"{lender.name} of {user_name(user)}"


def owner_of(folder: StageFolder) -> StageFolder:
    """Return the folder that a job is done in: its own, or the lender's behind the link."""
    return StageFolder(Path(os.path.realpath(folder.path))) if folder.path.is_symlink() else folder


def ask_processes(sent: Sequence[Sent]) -> list[Answer]:
    """Return what this machine knows of the processes among these submissions; of all others, nothing."""
    return [process_answer(each.submission) if each.submission.process else NOT_ASKED for each in sent]


def process_answer(submission: Submission) -> Answer:
    """Return whether the process of a job lives. One of another machine can only be judged by its heartbeat."""
    process = submission.process
    if process is None:  # it had ended before it could be described
        return Answer(standing="elsewhere")
    if not process.here:
        return Answer(standing="elsewhere", host=process.host)
    return Answer(standing="running" if process.alive else "ended", words="interrupted", cancelled=True)


def _may_live(sent: Sent) -> bool:
    return sent.submission.withdrawn is None
