"""The same thing is never trained twice: jobs that another run has finished, or is about to, are taken over from it.

A job is the same when its fingerprint is: everything that changes the result, and nothing else. The store is the
results folder itself: every run's plan.json names its fingerprints. A taken-over job is a link to the other run's stage
folder, so its result, progress and checksums are read where they are, and exist once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kd.errors import RunError
from kd.jobfile.plan import Plan
from kd.rundir.folders import JobKey, RunFolder, StageFolder, runs_in, submission_lock
from kd.rundir.journal import Journal
from kd.rundir.plan_file import REPORT, read_plan
from kd.rundir.stage_result import damaged_artefacts, read_result
from slurm.cluster.profile import Profile
from slurm.cluster.which_cluster import current_cluster
from slurm.state.checksum_cache import RememberedDigests
from slurm.state.job_status import snapshot
from slurm.submission.executors import EXECUTORS, Executor
from slurm.submission.folder_lock import folder_locked

STORE_PATIENCE_SECONDS = 120.0  # others hold the lock only while they submit


@dataclass(frozen=True, kw_only=True, slots=True)
class Borrowed:
    """A job that another run, or another stage of this run, has: where, and its id while it waits or runs elsewhere."""

    key: JobKey
    lender: RunFolder
    folder: Path
    job_id: str | None
    same_as: JobKey | None = None  # the job of this very run that it is, where stages differ in name alone


@contextmanager
def store_locked(results: Path) -> Iterator[None]:
    """Hold the results folder while jobs are compared and submitted, so that two runs never train one thing at once."""
    results.mkdir(parents=True, exist_ok=True)
    busy = f"{results}: another kd-submit is submitting, for minutes now"
    with folder_locked(submission_lock(results), STORE_PATIENCE_SECONDS, busy):
        yield


def find_lenders(
    run: RunFolder,
    plan: Plan,
    wanted: Collection[JobKey],
    profile: Profile,
    digests: RememberedDigests,
    executors: Mapping[str, Executor] = EXECUTORS,
) -> list[Borrowed]:
    """Return the wanted jobs that other runs beside this one have finished (verified), or have queued or running."""
    fingerprints: dict[str, list[JobKey]] = {}  # stages that differ in name alone have one
    for job in plan.jobs:
        if job.key in wanted and job.kind != REPORT:
            fingerprints.setdefault(job.fingerprint, []).append(job.key)
    found: dict[JobKey, Borrowed] = {}
    for lender in _other_runs(run):
        offered = _offers(lender, fingerprints, found)
        results = {key: read_result(folder) for key, folder in offered.items()}
        alive = _alive(lender, profile, executors) if None in results.values() else {}
        for key, folder in offered.items():
            if result := results[key]:
                job_id = None
                usable = not damaged_artefacts(folder, result, digests)
            else:
                job_id = alive.get(folder.path)
                usable = job_id is not None
            if usable:
                found[key] = Borrowed(key=key, lender=lender, folder=folder.path, job_id=job_id)
    return list(found.values())


def link_taken(run: RunFolder, pending: Iterable[JobKey], borrowed: Iterable[Borrowed]) -> None:
    """Let the jobs that were taken over appear in a run, and no others: none of the ``pending``."""
    for key in pending:
        unlink_stale(run, key)
    for found in borrowed:
        link(run, found)


def link(run: RunFolder, borrowed: Borrowed) -> None:
    """Make this run's folder of a job a link to the lender's. What an earlier attempt left is set aside."""
    folder = run.stage(borrowed.key)
    path = folder.path
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        path.rename(folder.free_name_beside())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(borrowed.folder, path.parent), target_is_directory=True)


def unlink_stale(run: RunFolder, key: JobKey) -> None:
    """Remove a link to another run's job that is to be trained here after all."""
    path = run.stage(key).path
    if path.is_symlink():
        path.unlink()


def _other_runs(run: RunFolder) -> list[RunFolder]:
    return [other for other in runs_in(run.path.parent) if other.path != run.path]


def _offers(
    lender: RunFolder, fingerprints: Mapping[str, Collection[JobKey]], found: Mapping[JobKey, Borrowed]
) -> dict[JobKey, StageFolder]:
    """Return the lender's own folders of jobs that are wanted and not found yet; a link of its own is no offer."""
    offered: dict[JobKey, StageFolder] = {}
    try:
        planned = read_plan(lender).jobs
    except RunError:
        return {}  # of another version of kd, or damaged: it can still be looked at, but lends nothing
    for job in planned:
        keys = [key for key in fingerprints.get(job.fingerprint, ()) if key not in found]
        folder = lender.stage(job.key)
        if not keys or folder.path.is_symlink():
            continue
        result = read_result(folder)
        if result is None or result.fingerprint == job.fingerprint:
            offered.update(dict.fromkeys(keys, folder))
    return offered


def _alive(lender: RunFolder, profile: Profile, executors: Mapping[str, Executor]) -> dict[Path, str]:
    asked = lender.journal.is_file()
    states = snapshot(lender, executors, accounting=profile.accounting) if asked else []
    sent = Journal(lender.journal).submissions()
    return {
        lender.stage(state.key).path: state.job_id
        for state in states
        if state.phase in ("queued", "running")
        and state.alive
        and state.job_id
        and state.lender is None
        and state.same_as is None  # it is offered under the name of the job that is done for both
        and _outlives(state.executor)
        and sent[state.key].cluster == current_cluster()  # no dependency reaches from one cluster to another
    }


def _outlives(executor: str | None) -> bool:
    """Whether jobs of an executor go on without the command that sent them, so that others may wait for them."""
    known = EXECUTORS.get(executor or "")
    return known is not None and known.is_cluster
