"""This machine: jobs are processes that a scheduler of our own starts in order, until all have ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kd.errors import RunError
from kd.rundir.folders import JobKey
from kd.rundir.job_evidence import Sent, process_answer
from kd.rundir.job_state import Answer
from kd.rundir.journal import Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint


class LocalExecutor:
    """Runs jobs as processes, so many at a time; see slurm.submission.executors.Executor."""

    name = "local"
    job_word = "process"
    is_cluster = False

    def send(self, order: Order, start: StartingPoint, report: Callable[[str], None]) -> int:
        """Run the pending jobs, parents first; Ctrl-C leaves a run that the same command continues."""
        from slurm.submission.local_scheduler import run_local

        refuse_while_running(order, start)
        workers = order.workers or max(1, len(os.sched_getaffinity(0)))
        outcome = run_local(order.plan, order.run, start.pending, start.finished, workers, report)
        return outcome.exit_code

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Return which of the processes live."""
        return [process_answer(each.submission) for each in sent]

    def cancel(self, doomed: Mapping[JobKey, Submission], alive: Mapping[JobKey, Submission]) -> dict[JobKey, str]:
        """Ask the processes to write a checkpoint and stop."""
        refused = {}
        for key, found in doomed.items():
            if found.process is not None and not found.process.here:
                refused[key] = f"it runs on {found.process.host}; run kd-cancel there"
            elif found.process is None or not found.process.terminate():
                refused[key] = "it has just ended"
        return refused


def refuse_while_running(order: Order, start: StartingPoint) -> None:
    """Raise RunError when jobs of the run are alive: nothing on this machine waits for them."""
    if start.live:
        alive = ", ".join(map(str, start.live))
        raise RunError(f"{order.run.path}: still running: {alive}; wait for them, or kd-cancel them")
