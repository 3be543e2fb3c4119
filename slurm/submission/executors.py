"""What an executor is, and the table of those there are.

An executor runs a run's jobs: it is sent them, asked about them, and told to cancel them. The journal records its name;
kd-status and kd-cancel find the object here and ask it. No other place asks which executor it has before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from kd.rundir.folders import JobKey
from slurm.submission.debug_executor import DebugExecutor
from slurm.submission.local_executor import LocalExecutor
from slurm.submission.slurm_executor import SlurmExecutor

if TYPE_CHECKING:
    from kd.rundir.job_evidence import Sent
    from kd.rundir.job_state import Answer
    from kd.rundir.journal import Submission
    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint

Report = Callable[[str], None]


class Executor(Protocol):
    """One way to run jobs."""

    name: str
    job_word: str  # what it calls one of its jobs: "job", "process"
    is_cluster: bool  # it queues jobs on partitions, and they outlive the command that sent them

    def send(self, order: Order, start: StartingPoint, report: Report) -> int:
        """Bring the pending jobs on their way; return the exit code of kd-submit. ``report`` takes a line for people.

        A cluster's executor returns when everything is queued, the others when everything has ended. Raises UserError
        when nothing, or no more, can be sent.
        """

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Return how each of its submissions is. Raises ClusterError when a scheduler does not answer."""

    def cancel(self, doomed: Mapping[JobKey, Submission], alive: Mapping[JobKey, Submission]) -> dict[JobKey, str]:
        """Cancel the doomed of its jobs that are alive; return those that could not be, with the reason.

        Raises ClusterError when a scheduler does not answer or refuses.
        """


_ALL: tuple[Executor, ...] = (SlurmExecutor(), LocalExecutor(), DebugExecutor())
EXECUTORS: Mapping[str, Executor] = MappingProxyType({executor.name: executor for executor in _ALL})
CLUSTER = SlurmExecutor.name  # the default where the machine belongs to a cluster
HERE = LocalExecutor.name  # and where it does not
# Those that answer without Slurm: all that can be asked while it does not respond.
ON_THIS_MACHINE: Mapping[str, Executor] = MappingProxyType(
    {name: executor for name, executor in EXECUTORS.items() if not executor.is_cluster}
)
