"""Which jobs a submission concerns: those that ``--only`` names, what they need, and what ``--again`` redoes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from kd.errors import RunError, SpecError, did_you_mean
from kd.jobfile.plan import Plan, PlannedJob
from kd.jobfile.shorthand import matching
from kd.rundir.folders import JobKey, RunFolder
from slurm.submission.executors import EXECUTORS
from slurm.submission.order import Order
from slurm.submission.plan_difference import changed_jobs


def chosen_jobs(plan: Plan, only: Iterable[str], *, again: bool) -> tuple[frozenset[JobKey], frozenset[JobKey]]:
    """Return the jobs that must be there in the end, and those of them that are redone even if they are finished.

    Redone are the named stages and what depends on them; what they need is chosen too, and made only if it is missing.
    Raises SpecError for a name that fits no stage.
    """
    named = _named(plan, list(only))
    redone = _with_dependents(plan, named) if again else frozenset()
    return _with_needs(plan, named | redone), redone


def _named(plan: Plan, only: Collection[str]) -> frozenset[JobKey]:
    if not only:
        return frozenset(job.key for job in plan.jobs)
    stages = list(plan.by_stage())
    found: set[str] = set()
    for name in only:
        if not (fitting := matching(stages, name)):
            raise SpecError([f"--only {name}: no such stage{did_you_mean(name, stages)}"])
        found.update(fitting)
    return frozenset(job.key for job in plan.jobs if job.key.stage in found)


def _with_dependents(plan: Plan, named: Collection[JobKey]) -> frozenset[JobKey]:
    found = set(named)
    for job in plan.jobs:  # parents come first
        if found.intersection(plan.parents_of(job)):
            found.add(job.key)
    return frozenset(found)


def _with_needs(plan: Plan, wanted: Collection[JobKey]) -> frozenset[JobKey]:
    by_key: dict[JobKey, PlannedJob] = {job.key: job for job in plan.jobs}
    todo, found = list(wanted), set()
    while todo:
        key = todo.pop()
        found.add(key)
        todo += [parent for parent in by_key[key].parents.values() if parent not in found]
    return frozenset(found)


def refuse_alive(order: Order) -> None:
    """Raise RunError when a job that is to be redone still waits or runs."""
    from slurm.state.job_status import snapshot

    doomed = _set_aside_jobs(order)
    asked = order.run.journal.is_file()
    states = snapshot(order.run, EXECUTORS, accounting=order.profile.accounting) if asked else []
    own = [state for state in states if state.alive and state.lender is None]
    if alive := [str(state.key) for state in own if state.key in doomed]:
        raise RunError(f"--again: {', '.join(alive)} still wait or run; kd-cancel {order.run.name} first")


def set_aside(order: Order) -> None:
    """Move what is redone, and what an earlier run planned otherwise, out of the way; nothing is deleted."""
    move_aside(order.run, _set_aside_jobs(order))


def move_aside(run: RunFolder, keys: Collection[JobKey]) -> None:
    """Move jobs' folders to a new place below ``replaced``."""
    aside = run.replaced(time.strftime("%Y%m%d-%H%M%S"))
    for key in sorted(keys, key=str):
        folder = run.stage(key).path
        if folder.is_symlink():  # to what another job did: that stays where it is
            folder.unlink()
        elif folder.is_dir():
            target = aside / key.stage / folder.name
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)


def _set_aside_jobs(order: Order) -> set[JobKey]:
    return {*order.redone, *changed_jobs(order.run, order.plan)}
