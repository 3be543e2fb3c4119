"""This machine: jobs are processes that a scheduler of our own starts in order, until all have ended."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kd.errors import RunError
from kd.rundir.folders import JobKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from kd.rundir.job_evidence import Sent
    from kd.rundir.job_state import Answer
    from kd.rundir.journal import Submission
    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint


POLL_SECONDS = 1.0


class LocalExecutor:
    """Runs jobs as processes, so many at a time; see slurm.submission.executors.Executor."""

    name = "local"
    job_word = "process"
    is_cluster = False

    def send(self, order: Order, start: StartingPoint, report: Callable[[str], None]) -> int:
        """Run the pending jobs, parents first; Ctrl-C leaves a run that the same command continues."""
        from slurm.submission.local_scheduler import run_local

        start = _after_survivors(order, start, report)
        workers = order.workers or max(1, len(os.sched_getaffinity(0)))
        outcome = run_local(start.plan, order.run, start.pending, start.finished, workers, report)
        return outcome.exit_code

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Return which of the processes live."""
        from kd.rundir.job_evidence import process_answer

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


def _after_survivors(order: Order, start: StartingPoint, report: Callable[[str], None]) -> StartingPoint:
    """Wait for processes that outlived the kd-submit that started them; return what is left to do then.

    Raises RunError when what is alive is in a cluster's queue.
    """
    from kd.rundir.journal import Journal
    from slurm.submission.resume import find_starting_point

    if not start.live:
        return start
    sent = Journal(order.run.journal).submissions()
    if any(sent[key].executor != LocalExecutor.name for key in start.live if key in sent):
        refuse_while_running(order, start)
    report(f"waiting for what an interrupted kd-submit left running: {', '.join(map(str, start.live))}")
    while start.live:
        time.sleep(POLL_SECONDS)
        start = find_starting_point(order)
    return start


def refuse_while_running(order: Order, start: StartingPoint) -> None:
    """Raise RunError when jobs of the run are alive: nothing on this machine waits for them."""
    if start.live:
        alive = ", ".join(map(str, start.live))
        raise RunError(f"{order.run.path}: still running: {alive}; wait for them, or kd-cancel them")
