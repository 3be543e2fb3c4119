"""This very process: jobs run one after another, under a debugger if need be. Nothing of them is journalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kd.rundir.folders import JobKey
from slurm.submission.local_executor import refuse_while_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from kd.rundir.job_evidence import Sent
    from kd.rundir.job_state import Answer
    from kd.rundir.journal import Submission
    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint


class DebugExecutor:
    """Runs jobs in this process; see slurm.submission.executors.Executor."""

    name = "debug"
    job_word = "process"
    is_cluster = False

    def send(self, order: Order, start: StartingPoint, report: Callable[[str], None]) -> int:
        """Run the pending jobs, parents first."""
        from slurm.submission.local_scheduler import run_in_process

        refuse_while_running(order, start)
        return run_in_process(start.plan, order.run, start.pending, start.finished, report).exit_code

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Know nothing: the process that ran them has ended."""
        from kd.rundir.job_state import NOT_ASKED

        return [NOT_ASKED for _ in sent]

    def cancel(self, doomed: Mapping[JobKey, Submission], alive: Mapping[JobKey, Submission]) -> dict[JobKey, str]:
        """Cancel nothing: whoever started it stops it with Ctrl-C."""
        return dict.fromkeys(doomed, "it runs inside another kd-submit: stop that with Ctrl-C")
