"""kd-submit's middle part, without a job file: look at the run, and send to Slurm what is left to send."""

from __future__ import annotations

from collections.abc import Collection

from kd.rundir.folders import JobKey
from slurm.submission.executors import EXECUTORS
from slurm.submission.request import build_requests
from slurm.submission.resume import StartingPoint, find_starting_point
from slurm.submission.transaction import submit
from tests.slurm.made_cluster import profile
from tests.slurm.made_runs import MadeRun

PROFILE = profile("gpu")


def starting_point(made: MadeRun, chosen: Collection[JobKey] | None = None) -> StartingPoint:
    """Return what a submission of these jobs (default: all) starts from."""
    everything = [job.key for job in made.plan.jobs]
    cluster = EXECUTORS["slurm"]
    return find_starting_point(
        made.run, made.plan, PROFILE, everything if chosen is None else chosen, executor=cluster, reuse=None
    )


def kd_submit(made: MadeRun) -> dict[JobKey, str]:
    """Submit what is neither done nor alive; return the new ids."""
    start = starting_point(made)
    requests = build_requests(
        made.plan, made.run, PROFILE, pending=start.pending, finished=start.finished, attempt=start.attempt
    )
    return submit(requests, made.run, start.live)
