"""Stands in for the job's Python: runs what it is told to, with slower training steps or a wrong clock. Not a test.

A small job then lasts long enough to be disturbed, at no cost in processor time, and computes the same numbers.

Both variables have a number for the first start and, if they differ, for every restart: ``60 -60``.

KD_TEST_PACE   seconds to sleep at every training step of the stage "teacher"
KD_TEST_CLOCK  seconds by which the clock is wrong
"""

from __future__ import annotations

import os
import runpy
import sys
import time


def number(variable: str) -> float:
    """Return this start's number of a variable; the last one stands for all further restarts."""
    numbers = os.environ.get(variable, "0").split()
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    return float(numbers[min(restarts, len(numbers) - 1)])


def shift_clock(seconds: float) -> None:
    """Let this process believe in another time of day."""
    true_time = time.time
    time.time = lambda: true_time() + seconds


def slow_down(seconds: float) -> None:
    """Sleep whenever a training asks whether to stop: at every step."""
    from slurm.job.preemption import StopSignals

    asked = StopSignals.stop_requested

    def stop_requested(self: StopSignals) -> bool:
        time.sleep(seconds)
        return asked(self)

    StopSignals.stop_requested = stop_requested  # type: ignore[method-assign]


if __name__ == "__main__":
    del sys.path[0]  # this folder: the job imports the frozen code and nothing of the tests
    shift_clock(number("KD_TEST_CLOCK"))
    if os.environ["SLURM_JOB_NAME"].endswith(".teacher"):
        slow_down(number("KD_TEST_PACE"))
    assert sys.argv[1:3] == ["-m", "submitit.core._submit"], sys.argv
    sys.argv = sys.argv[2:]
    runpy.run_module("submitit.core._submit", run_name="__main__", alter_sys=True)
