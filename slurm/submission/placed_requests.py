"""The requests of a submission, each where the cluster's present state lets it finish first; a dry run's are the same.

Without a Slurm that answers, and that has the profile's partitions, a dry run keeps to the profile's own order.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from kd.errors import ClusterError
from kd.files import write_json
from kd.rundir.folders import JobKey
from slurm.submission.order import Order
from slurm.submission.request import Request, build_requests

if TYPE_CHECKING:
    from slurm.cluster.capabilities import Capabilities
    from slurm.cluster.partitions_and_nodes import LiveState
    from slurm.submission.resume import StartingPoint

ClusterNow: TypeAlias = "tuple[Capabilities, LiveState]"


def place_pending(order: Order, start: StartingPoint, report: Callable[[str], None]) -> list[Request]:
    """Return the requests of a submission's pending jobs, and report why each goes where it goes.

    What the cluster can do is kept in the run folder. Raises ClusterError when Slurm does not answer.
    """
    from slurm.placement.explain_choice import in_one_line

    if not start.pending:
        return []
    now = _ask_cluster(order, set(start.pending))
    write_json(order.run.capabilities, msgspec.to_builtins(now[0]))
    requests = placed_requests(order, now, start)
    for stage, choice in {request.stage: request.choice for request in requests}.items():
        report(f"{stage}: {in_one_line(choice)}")
    return requests


def cluster_now_if_here(order: Order, pending: Collection[JobKey]) -> ClusterNow | None:
    """Ask the cluster if this machine belongs to it; None, reported on standard error, if it does not."""
    if not shutil.which("sbatch"):
        return None
    try:
        now = _ask_cluster(order, pending)
        known = {partition.name for partition in order.profile.partitions}
        if known and known.isdisjoint(now[1].partitions):
            raise ClusterError(f"this machine's Slurm has none of its partitions ({', '.join(sorted(known))})")
    except ClusterError as error:
        reason = str(error).partition(": ")[0]  # what follows is Slurm's own complaint, often several lines of it
        print(f"cluster {order.cluster}: {reason}; partitions are chosen by the profile alone", file=sys.stderr)
        return None
    return now


def placed_requests(order: Order, now: ClusterNow | None, start: StartingPoint) -> list[Request]:
    """Return the requests for the pending jobs. Raises ClusterError with a line for each limit they exceed."""
    known, live = (None, None) if now is None else now
    from slurm.cluster.job_states import count_mine
    from slurm.submission.site_limits import check_limits, within_capabilities

    requests = build_requests(
        start.plan,
        order.run,
        order.profile if known is None else within_capabilities(order.profile, known),
        pending=start.pending,
        finished=start.finished,
        queued=start.live,
        attempt=start.attempt,
        live=live,
    )
    in_queue = count_mine(known.max_submit_of) if known and known.max_submit is not None and requests else 0
    if known is not None and (messages := check_limits(requests, known, live, queued=in_queue)):
        raise ClusterError("\n".join(messages))
    _warn(order, requests)
    return requests


def _warn(order: Order, requests: Sequence[Request]) -> None:
    from slurm.submission.site_limits import time_warnings

    for warning in time_warnings(requests, order.profile.signal_seconds):
        print(f"warning: {warning}", file=sys.stderr)


def _ask_cluster(order: Order, pending: Collection[JobKey]) -> ClusterNow:
    """Ask the cluster about these jobs. Raises ClusterError when Slurm does not answer."""
    from slurm.placement.ask_slurm import cluster_now

    wanted = [job.needs for job in order.plan.jobs if job.key in pending]
    return cluster_now(order.cluster, order.profile, wanted, order.run.path.parent)
