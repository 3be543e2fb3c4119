"""What a submission starts from: what is done, what is alive, what must be submitted (again).

Artefacts with checksums decide what is done; the scheduler only knows what is alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import SoftFileLock, Timeout

from kd.errors import RunError
from kd.jobfile.plan import Plan
from kd.rundir.borrowed_file import changed_since_pinned, read_pins
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal
from slurm.cluster import slurm_commands
from slurm.cluster.profile import Profile
from slurm.state.checksum_cache import RememberedDigests
from slurm.state.job_status import JobStatus, snapshot
from slurm.submission.executors import EXECUTORS, Executor
from slurm.submission.lenders import Trusted, owner_words
from slurm.submission.reuse import Borrowed, Lending, find_lenders
from slurm.submission.transaction import cancel_orphans


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingPoint:
    """What a submission starts from."""

    pending: tuple[JobKey, ...]
    finished: tuple[JobKey, ...]
    live: Mapping[JobKey, str]  # job ids that wait or run already
    borrowed: tuple[Borrowed, ...]  # other runs have these, or are about to
    damaged: Mapping[JobKey, tuple[str, ...]]  # finished once, but these artefacts no longer verify
    attempt: int
    notes: tuple[str, ...] = ()  # on runs that could have lent jobs and were left out

    def lines(self) -> Iterator[str]:
        """Return what was found, a line each."""
        yield from self.notes
        taken = {found.key for found in self.borrowed}
        if own := [key for key in self.finished if key not in taken]:
            yield f"done already: {_listed(own)}"
        if own := [key for key in self.live if key not in taken]:
            yield f"waiting or running already: {_listed(own)}"
        for found in self.borrowed:
            how = f"which trains it as job {found.job_id}" if found.job_id else "which finished it"
            yield f"{found.key}: taken from run {found.lender.name}{owner_words(found.pin.user)}, {how}"
        for key, names in self.damaged.items():
            yield f"{key}: {', '.join(names)} changed since it finished; it is trained again"
        if not self.pending:
            yield "nothing to submit"


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Hold the run's lock, so that of two people or shells one submits and the other is refused.

    Raises RunError when another process holds it.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    try:
        with SoftFileLock(run.lock, timeout=0):
            yield
    except Timeout:
        raise RunError(f"{run.path}: another kd-submit is at work on this run; if none is, delete {run.lock}") from None


def find_starting_point(
    run: RunFolder,
    plan: Plan,
    profile: Profile,
    chosen: Collection[JobKey],
    *,
    executor: Executor,
    reuse: Trusted | None,
) -> StartingPoint:
    """Read the run's files, ask the schedulers, cancel what can never run, and return what is left to submit.

    With ``reuse``, jobs that runs of those users have finished are taken over; where the executor queues jobs, also
    those that wait or run in this user's own.
    """
    cancel_orphans(run)
    asked = run.journal.is_file()
    states = {state.key: state for state in snapshot(run, EXECUTORS, accounting=profile.accounting)} if asked else {}
    digests = RememberedDigests(run.digests)
    # after the scheduler's answer: a job that ends meanwhile is then found done, not missing
    finished, damaged = _finished(run, plan, digests, states)
    alive = {key: state for key, state in states.items() if _is_own(state) and key not in finished}
    healthy = {key for key, state in alive.items() if state.phase != "failed"}
    lacking = [key for key in chosen if key not in finished and key not in healthy]
    lending = find_lenders(run, plan, lacking, profile, digests, reuse) if reuse else Lending()
    digests.save()
    borrowed = [found for found in lending.found if executor.is_cluster or not found.job_id]
    finished += [found.key for found in borrowed if not found.job_id]
    lent = {found.key: found.job_id for found in borrowed if found.job_id}
    pending = _pending(plan, chosen, {*finished, *lent}, alive)
    _withdraw(run, [alive.pop(key) for key in pending if key in alive])
    return StartingPoint(
        pending=tuple(pending),
        finished=tuple(key for key in finished if key not in pending),
        live={**{key: str(state.job_id) for key, state in alive.items()}, **lent},
        borrowed=tuple(borrowed),
        damaged=damaged,
        attempt=1 + Journal(run.journal).attempts(),
        notes=lending.notes,
    )


def _is_own(state: JobStatus) -> bool:
    """Whether a scheduler has a job of this run's own; a taken-over one is its lender's, and is looked up there."""
    return state.alive and state.job_id is not None and state.lender is None


def _pending(
    plan: Plan, chosen: Collection[JobKey], finished: Collection[JobKey], alive: Mapping[JobKey, JobStatus]
) -> list[JobKey]:
    """Return the jobs to submit: neither done nor alive, can never run, or bound to a job that is submitted again.

    A running job keeps its inputs; a queued one still waits for its parent's old job, and so must be sent anew. The
    report is made again whenever anything it reads is.
    """
    again: set[JobKey] = set()
    for job in plan.jobs:
        state = alive.get(job.key)
        bound = bool(again.intersection(plan.parents_of(job)))
        if job.key not in chosen:
            continue
        if job.key in finished:
            missing = job.waits_for_all_ended and bound
        else:
            missing = state is None or state.phase == "failed" or (bound and state.phase != "running")
        if missing:
            again.add(job.key)
    return [job.key for job in plan.jobs if job.key in again]


def _withdraw(run: RunFolder, stale: Collection[JobStatus]) -> None:
    """Cancel jobs that wait for something that will never come."""
    ids = [str(state.job_id) for state in stale]
    if ids:
        slurm_commands.cancel(ids)
        Journal(run.journal).withdrawn(ids, "replaced: what it waited for is submitted again")


def _finished(
    run: RunFolder, plan: Plan, digests: RememberedDigests, states: Mapping[JobKey, JobStatus]
) -> tuple[list[JobKey], dict[JobKey, tuple[str, ...]]]:
    """Return the jobs whose results verify, and those whose artefacts changed since: their results no longer count.

    Nor does the result of a job that is made anew, until that attempt's own result is there.
    """
    finished: list[JobKey] = []
    damaged: dict[JobKey, tuple[str, ...]] = {}
    pins = read_pins(run)
    for job in plan.jobs:
        folder = run.stage(job.key)
        result = folder.read_result()
        if result is None or result.get("fingerprint") != job.fingerprint:
            continue
        state = states.get(job.key)
        if state is not None and state.anew and (result.get("job") or {}).get("job_id") != state.job_id:
            continue
        if changed_since_pinned(folder, pins):
            damaged[job.key] = ("the lender's result.json",)
        elif bad := folder.damaged_artefacts(digests):
            damaged[job.key] = tuple(bad)
        else:
            finished.append(job.key)
    return finished, damaged


def _listed(keys: Collection[JobKey], most: int = 6) -> str:
    names = [str(key) for key in keys]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
