"""kd-submit's middle part, without a job file: look at the run, and send to Slurm what is left to send."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kd.jobfile.stage import Pipeline
from kd.rundir.folders import JobKey
from slurm.submission.chosen_jobs import chosen_jobs
from slurm.submission.executors import EXECUTORS
from slurm.submission.order import Order
from slurm.submission.placed_requests import placed_requests
from slurm.submission.resume import StartingPoint, find_starting_point
from slurm.submission.reuse import link_taken
from slurm.submission.transaction import submit
from tests.slurm.made_cluster import profile
from tests.slurm.made_runs import MadeRun

PROFILE = profile("gpu")


def order_of(made: MadeRun, *only: str, again: bool = False) -> Order:
    """Return the order of a kd-submit with these ``--only`` options."""
    chosen, redone = chosen_jobs(made.plan, only, again=again)
    return Order(
        pipeline=Pipeline.model_construct(),
        plan=made.plan,
        run=made.run,
        executor=EXECUTORS["slurm"],
        cluster="test",
        profile=PROFILE,
        chosen=chosen,
        redone=redone,
    )


def starting_point(made: MadeRun, chosen: Collection[JobKey] | None = None) -> StartingPoint:
    """Return what a submission of these jobs (default: all) starts from."""
    order = order_of(made)
    return find_starting_point(order if chosen is None else replace(order, chosen=frozenset(chosen)))


def kd_submit(made: MadeRun) -> dict[JobKey, str]:
    """Submit what is neither done nor alive; return the new ids."""
    start = starting_point(made)
    link_taken(made.run, start.pending, start.borrowed)
    return submit(placed_requests(order_of(made), None, start), made.run, start.live)
