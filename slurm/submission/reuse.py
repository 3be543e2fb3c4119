"""The same thing is never trained twice: jobs that another run has finished, or is about to, are taken over from it.

A job is the same when its fingerprint is: everything that changes the result, and nothing else. The store is the
results folder itself: every run's plan.json names its fingerprints. A taken-over job is a link to the other run's stage
folder, so its result, progress and checksums are read where they are, and exist once. Whose runs may lend is in
slurm/submission/lenders.py. A run that cannot be read is skipped with a line: it must not stop others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kd.errors import RunError
from kd.jobfile.plan import Plan
from kd.rundir.borrowed_file import Pin, pin_of, write_pins
from kd.rundir.folders import JobKey, RunFolder, StageFolder, submission_lock
from kd.rundir.journal import Journal
from kd.rundir.plan_file import REPORT, read_plan
from kd.rundir.stage_result import StageResult, damaged_artefacts, read_result
from slurm.cluster.profile import Profile
from slurm.cluster.which_cluster import current_cluster
from slurm.state.checksum_cache import RememberedDigests
from slurm.state.job_status import snapshot
from slurm.submission.executors import EXECUTORS, Executor
from slurm.submission.folder_lock import folder_locked
from slurm.submission.lenders import Trusted, other_runs, owner_of_run, owner_words, require_lendable

STORE_PATIENCE_SECONDS = 120.0  # others hold the lock only while they submit


@dataclass(frozen=True, kw_only=True, slots=True)
class Borrowed:
    """A job that another run, or another stage of this run, has: where, and its id while it waits or runs elsewhere."""

    key: JobKey
    lender: RunFolder
    folder: Path
    job_id: str | None
    pin: Pin | None  # None for a job of this very run
    same_as: JobKey | None = None  # the job of this run that it is, where stages differ in name alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Lending:
    """What other runs offer; ``notes``: a line for each run that could have been of use and was left out."""

    found: tuple[Borrowed, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Offer:
    """A lender's own folder of a wanted job, and its result, read once; None while it is not done."""

    folder: StageFolder
    result: StageResult | None


@contextmanager
def store_locked(results: Path) -> Iterator[None]:
    """Hold the results folder while jobs are compared and submitted, so that two runs never train one thing at once."""
    results.mkdir(parents=True, exist_ok=True)
    lock = submission_lock(results)
    if lock.is_symlink() or (lock.exists() and lock.lstat().st_uid != os.geteuid()):
        print(f"{lock} is not yours, and no lock: submitting without one", file=sys.stderr)
        yield
        return
    busy = f"{results}: another kd-submit is submitting, for minutes now"
    with folder_locked(lock, STORE_PATIENCE_SECONDS, busy):
        yield


def find_lenders(
    run: RunFolder,
    plan: Plan,
    wanted: Collection[JobKey],
    profile: Profile,
    digests: RememberedDigests,
    trusted: Trusted,
    executors: Mapping[str, Executor] = EXECUTORS,
) -> Lending:
    """Return the wanted jobs that trusted runs beside this one have finished (verified), or have queued or running."""
    fingerprints: dict[str, list[JobKey]] = {}  # stages that differ in name alone have one
    for job in plan.jobs:
        if job.key in wanted and job.kind != REPORT:
            fingerprints.setdefault(job.fingerprint, []).append(job.key)
    found: dict[JobKey, Borrowed] = {}
    notes: list[str] = []
    for lender in other_runs(run) if fingerprints else ():
        try:
            owner = owner_of_run(lender)
            offered = _offers(lender, fingerprints, found)
            if offered and not trusted.has(owner):
                notes += _not_trusted(lender, owner, offered)
                continue
            found |= _usable(lender, owner, offered, profile, digests, executors)
        except (RunError, OSError, ValueError) as error:
            notes.append(f"skipped run {lender.name}: {error}")
    return Lending(found=tuple(found.values()), notes=tuple(notes))


def _not_trusted(lender: RunFolder, owner: int, offered: Mapping[JobKey, _Offer]) -> list[str]:
    done = sum(offer.folder.result.is_file() for offer in offered.values())
    name = owner_words(owner).removeprefix(" of ")
    line = f"run {lender.name} of {name} has done {done} of these jobs; --reuse-from {name} takes them over"
    return [line] if done else []


def _usable(
    lender: RunFolder,
    owner: int,
    offered: Mapping[JobKey, _Offer],
    profile: Profile,
    digests: RememberedDigests,
    executors: Mapping[str, Executor],
) -> dict[JobKey, Borrowed]:
    """Return the offered jobs that are done and whole, and of this user's own runs those that wait or run."""
    done = [offer.folder for offer in offered.values() if offer.result is not None]
    if done:
        require_lendable(lender, done, owner)
    ask = owner == os.geteuid() and len(done) < len(offered)
    alive = _alive(lender, profile, executors) if ask else {}
    found = {}
    for key, offer in offered.items():
        folder = offer.folder
        if offer.result is not None:
            job_id = None
            usable = not damaged_artefacts(folder, offer.result, digests)
        else:
            job_id = alive.get(folder.path)
            usable = job_id is not None
        if usable:
            pin = pin_of(lender, folder)
            found[key] = Borrowed(key=key, lender=lender, folder=folder.path, job_id=job_id, pin=pin)
    return found


def link_taken(run: RunFolder, pending: Iterable[JobKey], borrowed: Iterable[Borrowed]) -> None:
    """Let the jobs that were taken over appear in a run, and no others: none of the ``pending``."""
    for key in pending:
        unlink_stale(run, key)
    taken = list(borrowed)
    for found in taken:
        link(run, found)
    write_pins(run, {found.key: found.pin for found in taken})


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


def _offers(
    lender: RunFolder, fingerprints: Mapping[str, Collection[JobKey]], found: Mapping[JobKey, Borrowed]
) -> dict[JobKey, _Offer]:
    """Return the lender's own folders of jobs that are wanted and not found yet; a link of its own is no offer.

    Raises RunError when its plan cannot be read.
    """
    offered: dict[JobKey, _Offer] = {}
    for job in read_plan(lender).jobs:
        keys = [key for key in fingerprints.get(job.fingerprint, ()) if key not in found]
        if not keys:
            continue
        folder = lender.stage(job.key)
        if os.path.islink(folder.path):
            continue
        result = read_result(folder)
        if result is None or result.fingerprint == job.fingerprint:
            offered.update(dict.fromkeys(keys, _Offer(folder, result)))
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
