"""``--drop-seeds``: seeds that a run was given once and is to be without. Folders are set aside, nothing is deleted."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from kd.errors import RunError
from kd.rundir.folders import JobKey
from kd.rundir.plan_file import read_plan, write_plan
from slurm.state.job_status import snapshot
from slurm.submission.chosen_jobs import move_aside
from slurm.submission.executors import EXECUTORS
from slurm.submission.order import Order


def drop_seeds(order: Order, seeds: Collection[int]) -> list[str]:
    """Take seeds out of a run's plan, and return what was done.

    Raises RunError for a seed that the run has not, that this submission names, or whose jobs wait or run.
    """
    run, plan = order.run, read_plan(order.run)
    doomed = droppable_jobs(order, seeds)
    move_aside(run, doomed)
    kept = [job for job in plan.jobs if job.key not in doomed]
    write_plan(run, structs.replace(plan, jobs=kept, seeds=[seed for seed in plan.seeds if seed not in seeds]))
    renewed = f"; kd-collect {run.name} renews the report" if run.report_json.is_file() else ""
    return [f"dropped seed {seed}: its folders are in {run.name}/replaced{renewed}" for seed in seeds]


def preview_drop(order: Order, seeds: Collection[int]) -> list[str]:
    """Return what ``drop_seeds`` would do, a line for each seed, changing nothing. Raises RunError as it does."""
    doomed = droppable_jobs(order, seeds) if seeds else frozenset()
    count = {seed: sum(key.seed == seed for key in doomed) for seed in seeds}
    return [f"would drop seed {seed}: {count[seed]} jobs leave the plan, their folders are set aside" for seed in seeds]


def droppable_jobs(order: Order, seeds: Collection[int]) -> frozenset[JobKey]:
    """Return the jobs of seeds that may be taken out of the run. Raises RunError for a seed that may not."""
    run, plan = order.run, read_plan(order.run)
    for seed in seeds:
        if seed not in plan.seeds:
            raise RunError(f"--drop-seeds {seed}: {run.path} has no such seed")
        if seed in order.plan.seeds:
            raise RunError(f"--drop-seeds {seed}: this submission names it; take it out of the job file or --seeds")
    doomed = frozenset(job.key for job in plan.jobs if job.seed in seeds)
    alive = [str(state.key) for state in snapshot(run, EXECUTORS) if state.alive and state.lender is None]
    if living := [name for name in alive if name in set(map(str, doomed))]:
        raise RunError(f"--drop-seeds: {', '.join(living)} wait or run; kd-cancel {run.name} {' '.join(living)} first")
    return doomed
