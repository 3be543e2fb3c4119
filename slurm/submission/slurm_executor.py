"""Slurm: jobs are sent in one transaction, asked about with squeue and sacct, and cancelled with scancel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kd.errors import ClusterError
from kd.rundir.folders import JobKey
from slurm.cluster.which_cluster import on_cluster

# What sends, asks and cancels is imported where that happens: every command imports the executors, few use them.
if TYPE_CHECKING:
    from collections.abc import Callable

    from kd.rundir.job_evidence import Sent
    from kd.rundir.job_state import Answer
    from kd.rundir.journal import Submission
    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint


class SlurmExecutor:
    """Runs jobs on a Slurm cluster; see slurm.submission.executors.Executor."""

    name = "slurm"
    job_word = "job"
    is_cluster = True

    def send(self, order: Order, start: StartingPoint, report: Callable[[str], None]) -> int:
        """Submit the pending jobs, each where it is expected to finish first, and report why there."""
        import shutil

        from slurm.submission.fault_points import fault_point
        from slurm.submission.placed_requests import place_pending
        from slurm.submission.transaction import submit

        if not shutil.which("sbatch"):
            raise ClusterError("no sbatch here: log in to the cluster, or use --executor local or --dry-run")
        if start.pending:
            require_venv(order.profile.venv)
        requests = place_pending(order, start, report)
        fault_point("before-sending")
        for key, job_id in submit(requests, order.run, start.live).items():
            report(f"submitted {key} as {job_id}")
        return 0

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Ask squeue once about all jobs, and sacct once about those that have left the queue."""
        from slurm.submission.slurm_answers import slurm_answers

        return slurm_answers(sent, accounting=accounting)

    def cancel(self, doomed: Mapping[JobKey, Submission], alive: Mapping[JobKey, Submission]) -> dict[JobKey, str]:
        """Hand the doomed to scancel in one call."""
        from slurm.cluster import slurm_commands

        for cluster in {found.cluster for found in doomed.values()}:
            with on_cluster(cluster):
                slurm_commands.cancel(scancel_ids(_ids(doomed, cluster), _ids(alive, cluster)))
        return {}


def require_venv(venv: str | None) -> None:
    """Raise ClusterError when the profile's virtual environment is not there; one that jobs alone can name may be."""
    path = os.path.expandvars(venv or "")
    if path and "$" not in path and not os.path.isfile(f"{path}/bin/activate"):
        raise ClusterError(
            f"the cluster profile's venv: {path}/bin/activate does not exist; make it, or mend the profile"
        )


def scancel_ids(doomed: Iterable[str], alive: Iterable[str]) -> list[str]:
    """Return what to hand to scancel: a whole array where nothing else of it is alive, else its single elements."""
    wanted = list(dict.fromkeys(doomed))
    spared = {job_id.partition("_")[0] for job_id in set(alive).difference(wanted)}
    pairs = zip(wanted, (job_id.partition("_")[0] for job_id in wanted), strict=True)
    return list(dict.fromkeys(job_id if base in spared else base for job_id, base in pairs))


def _ids(submissions: Mapping[JobKey, Submission], cluster: str) -> list[str]:
    return [found.job_id for found in submissions.values() if found.cluster == cluster]
