"""The requests of a submission, each where the cluster's present state lets it finish first; a dry run's are the same.

Without a Slurm that answers, and that has the profile's partitions, a dry run keeps to the profile's own order.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

from kd.errors import ClusterError
from kd.jobfile.plan import Plan
from kd.rundir.folders import JobKey, RunFolder
from slurm.cluster.profile import Profile
from slurm.submission.request import Request, build_requests

if TYPE_CHECKING:
    from slurm.cluster.capabilities import Capabilities
    from slurm.cluster.partitions_and_nodes import LiveState

Seen: TypeAlias = "tuple[Capabilities, LiveState]"


def see(plan: Plan, run: RunFolder, cluster: str, profile: Profile, pending: Collection[JobKey]) -> Seen:
    """Look at the cluster for these jobs. Raises ClusterError when Slurm does not answer."""
    from slurm.placement.ask_slurm import look

    return look(cluster, profile, [job.needs for job in plan.jobs if job.key in pending], run.path.parent)


def see_if_there(
    plan: Plan, run: RunFolder, cluster: str, profile: Profile, pending: Collection[JobKey]
) -> Seen | None:
    """Look at the cluster if this machine belongs to it; None, said on standard error, if it does not."""
    if not shutil.which("sbatch"):
        return None
    try:
        seen = see(plan, run, cluster, profile, pending)
        known = {partition.name for partition in profile.partitions}
        if known.isdisjoint(seen[1].partitions):
            raise ClusterError(f"this machine's Slurm has none of its partitions ({', '.join(sorted(known))})")
    except ClusterError as error:
        reason = str(error).partition(": ")[0]  # what follows is Slurm's own complaint, often several lines of it
        print(f"cluster {cluster}: {reason}; partitions are chosen by the profile alone", file=sys.stderr)
        return None
    return seen


def place(
    plan: Plan,
    run: RunFolder,
    profile: Profile,
    seen: Seen | None,
    *,
    pending: Collection[JobKey],
    finished: Collection[JobKey] = (),
    attempt: int = 1,
) -> list[Request]:
    """Return the requests for the pending jobs. Raises ClusterError with a line for each limit they exceed."""
    if seen is None:
        return build_requests(plan, run, profile, pending=pending, finished=finished, attempt=attempt)
    from slurm.submission.site_limits import check_limits, within_capabilities

    known, live = seen
    site = within_capabilities(profile, known)
    requests = build_requests(plan, run, site, pending=pending, finished=finished, attempt=attempt, live=live)
    if messages := check_limits(requests, known, live):
        raise ClusterError("\n".join(messages))
    return requests
