"""What a submission starts from: what is done, what is alive, what must be submitted (again).

Artefacts with checksums decide what is done; the scheduler only knows what is alive.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kd.errors import ClusterError, RunError
from kd.jobfile.plan import Plan
from kd.rundir.borrowed_file import changed_since_pinned, read_pins
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal
from kd.rundir.stage_result import damaged_artefacts, read_result
from slurm.cluster import slurm_commands
from slurm.cluster.which_cluster import VARIABLE, current_cluster
from slurm.state.checksum_cache import RememberedDigests
from slurm.state.job_status import JobStatus, snapshot
from slurm.submission.executors import EXECUTORS, ON_THIS_MACHINE, Executor
from slurm.submission.folder_lock import folder_locked
from slurm.submission.lenders import owner_words
from slurm.submission.order import Order
from slurm.submission.reuse import Borrowed, find_lenders
from slurm.submission.same_jobs import shared_jobs, taken_from_finished, taken_from_shared
from slurm.submission.transaction import cancel_orphans


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingPoint:
    """What a submission starts from."""

    plan: Plan  # in which a job that is the same as another one points to that
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
            if found.same_as is not None:
                yield f"{found.key}: the same as {found.same_as}, which is trained once for both"
                continue
            how = f"which trains it as job {found.job_id}" if found.job_id else "which finished it"
            yield f"{found.key}: taken from run {found.lender.name}{_owner(found)}, {how}"
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
    with folder_locked(run.lock, 0, f"{run.path}: another kd-submit is at work on this run"):
        yield


def find_starting_point(order: Order) -> StartingPoint:
    """Read the run's files, ask the schedulers, cancel what can never run, and return what is left to submit.

    Jobs that other runs have finished are taken over; where the executor queues jobs, also those that are alive there.
    """
    cancel_orphans(order.run)
    digests = RememberedDigests(order.run.digests)
    start, stale = _look(order, EXECUTORS, digests)
    digests.save()
    _withdraw(order.run, stale)
    return start


def preview_starting_point(order: Order) -> StartingPoint:
    """Return what find_starting_point would, changing nothing; by the files alone where Slurm does not answer."""
    digests = RememberedDigests(order.run.digests)
    try:
        return _look(order, EXECUTORS, digests)[0]
    except ClusterError as error:
        reason = str(error).partition(": ")[0]
        print(f"{reason}: jobs in the queue are not known here, what follows is by the files alone", file=sys.stderr)
        return _look(order, ON_THIS_MACHINE, digests)[0]


def _look(
    order: Order, executors: Mapping[str, Executor], digests: RememberedDigests
) -> tuple[StartingPoint, list[JobStatus]]:
    """Return what a submission starts from, and the jobs in the queue that wait for something that never comes."""
    run, plan = order.run, order.plan
    asked = run.journal.is_file()
    rows = snapshot(run, executors, accounting=order.profile.accounting) if asked else []
    states = {state.key: state for state in rows}
    _refuse_two_clusters(run, states)
    # after the scheduler's answer: a job that ends meanwhile is then found done, not missing
    finished, damaged = _finished(run, plan, digests, states)
    finished = [key for key in finished if key not in order.redone]
    alive = {key: state for key, state in states.items() if _is_own(state) and key not in finished}
    healthy = {key for key, state in alive.items() if state.phase != "failed"}
    lacking = order.chosen.difference(finished, healthy, order.redone)
    borrowed = taken_from_finished(run, plan, lacking, finished)
    lacking = lacking.difference(found.key for found in borrowed)
    lending = find_lenders(run, plan, lacking, order.profile, digests, order.reuse_from, executors)
    borrowed += [found for found in lending.found if order.executor.is_cluster or not found.job_id]
    finished += [found.key for found in borrowed if not found.job_id]
    lent = {found.key: found.job_id for found in borrowed if found.job_id}
    lacking_or_bound = _pending(plan, order.chosen, {*finished, *lent}, alive)
    stale = [alive.pop(key) for key in lacking_or_bound if key in alive]
    shared = shared_jobs(plan, lacking_or_bound, alive)
    borrowed += taken_from_shared(run, shared.items())
    pending = [key for key in lacking_or_bound if key not in shared]
    start = StartingPoint(
        plan=replace(plan, shared=shared),
        pending=tuple(pending),
        finished=tuple(key for key in finished if key not in lacking_or_bound),
        live={**{key: str(state.job_id) for key, state in alive.items()}, **lent},
        borrowed=tuple(borrowed),
        damaged=damaged,
        attempt=1 + Journal(run.journal).attempts(),
        notes=lending.notes,
    )
    return start, stale


def _refuse_two_clusters(run: RunFolder, states: Mapping[JobKey, JobStatus]) -> None:
    """Raise RunError when jobs wait or run on another cluster: no dependency reaches from one to another."""
    alive = {key for key, state in states.items() if _is_own(state)}
    sent = (found for key, found in Journal(run.journal).submissions().items() if key in alive)
    elsewhere = {found.cluster for found in sent if EXECUTORS[found.executor].is_cluster} - {current_cluster()}
    for cluster in sorted(elsewhere):
        fix = f"export {VARIABLE}={cluster}" if cluster else f"unset {VARIABLE}"
        name = f"cluster {cluster}" if cluster else "this login node's own cluster"
        raise RunError(
            f"{run.path}: has jobs on {name}, and a run belongs to one: {fix}, or kd-cancel {run.name} first"
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
    ids = list(dict.fromkeys(str(state.job_id) for state in stale))
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
        result = read_result(folder)
        if result is None or result.fingerprint != job.fingerprint:
            continue
        state = states.get(job.key)
        if state is not None and state.anew and result.job.job_id != state.job_id:
            continue
        if changed_since_pinned(folder, pins):
            damaged[job.key] = ("the lender's result",)
        elif bad := damaged_artefacts(folder, result, digests):
            damaged[job.key] = tuple(bad)
        else:
            finished.append(job.key)
    return finished, damaged


def _owner(found: Borrowed) -> str:
    return "" if found.pin is None else owner_words(found.pin.user)


def _listed(keys: Collection[JobKey], most: int = 6) -> str:
    names = [str(key) for key in keys]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
