"""Signals that ask a job to stop, and the requeue that lets it go on later.

What Slurm sends, and what is done (facts in the sbatch manual page under --signal and --requeue):

* USR2 (``--signal=USR2@N`` before the time limit; at preemption where the site sends it), also USR1: save
  and requeue.
* TERM on Slurm (scancel, start of a preemption's grace time, the limit itself): save, and leave the rest to
  Slurm. A requeue here would bring a cancelled job back to life, and an exit would turn a preempted job into
  a failed one.
* TERM, INT and USR outside Slurm: save and end; a second Ctrl-C ends at once.

Handlers only set flags. They replace submitit's, which would raise in the middle of a training step and requeue
by its own count of time-outs.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Literal, TypeAlias

from kd.errors import ClusterError

StopRequest: TypeAlias = Literal["requeue", "save", "end"]

_ON_SLURM: dict[signal.Signals, StopRequest] = {
    signal.SIGUSR1: "requeue",
    signal.SIGUSR2: "requeue",
    signal.SIGTERM: "save",
}
_ELSEWHERE: dict[signal.Signals, StopRequest] = dict.fromkeys(
    (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT), "end"
)
KILL_SECONDS = 60.0  # longer than KillWait (30 s by default), after which Slurm kills what it terminated
REQUEUE_KILL_SECONDS = 300.0
_SCONTROL_SECONDS = 60.0
_SCONTROL_PAUSES = (2.0, 5.0)


class StopSignals:
    """Installs the handlers for the time of a ``with`` block and records what was asked; main thread only."""

    def __init__(self, *, on_slurm: bool) -> None:
        self._requests = _ON_SLURM if on_slurm else _ELSEWHERE
        self._older: dict[signal.Signals, Any] = {}
        self._asked: dict[StopRequest, signal.Signals] = {}

    def __enter__(self) -> StopSignals:
        for number in self._requests:
            self._older[number] = signal.signal(number, self._note)
        self._older[signal.SIGCONT] = signal.signal(signal.SIGCONT, signal.SIG_DFL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._older.items():
            # None: the handler was not set from Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number)
        if name is signal.SIGINT and self._asked.get("end") is signal.SIGINT:
            raise KeyboardInterrupt
        self._asked[self._requests[name]] = name

    def stop_requested(self) -> bool:
        """Return whether anything was asked; cheap enough for every training step."""
        return bool(self._asked)

    @property
    def requeue(self) -> bool:
        """Slurm is about to stop the job, and nobody has terminated it: hand over to its next run."""
        return "requeue" in self._asked and "save" not in self._asked

    @property
    def terminated(self) -> bool:
        """Slurm has sent TERM: whether the job lives on is Slurm's affair."""
        return "save" in self._asked

    def asked_by(self, number: signal.Signals) -> bool:
        """Return whether this signal arrived."""
        return number in self._asked.values()

    def describe(self) -> str:
        """Return the names of the signals that arrived."""
        return " and ".join(number.name for number in self._asked.values()) or "no signal"

    def outlive(self, seconds: float = KILL_SECONDS) -> None:
        """Sleep through the time in which the kill that follows TERM comes; then forget TERM, for the job
        lives on.
        """
        time.sleep(seconds)  # a signal that arrives meanwhile is noted, and the sleep goes on
        self._asked.pop("save", None)

    def await_kill(self, seconds: float = REQUEUE_KILL_SECONDS) -> bool:
        """After a requeue: wait until Slurm terminates this run (it must end for the next to start); False if
        never.
        """
        deadline = time.monotonic() + seconds
        while not self.terminated and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.terminated


def requeue_job(job_id: str, pauses: Sequence[float] = _SCONTROL_PAUSES) -> None:
    """Put this running job back into the queue (``scontrol requeue``); dependents keep waiting for it.

    Raises ClusterError in words when Slurm refuses (JobRequeue=0, ``--no-requeue``) or cannot be reached
    after retries.
    """
    answer = ""
    for pause in (*pauses, None):
        try:
            command = ["scontrol", "requeue", job_id]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SCONTROL_SECONDS, check=False)
        except FileNotFoundError:
            answer = "scontrol is not on PATH in the job"
            break
        except subprocess.TimeoutExpired:
            answer = f"scontrol did not answer within {_SCONTROL_SECONDS:.0f} s"
        else:
            if done.returncode == 0:
                return
            answer = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
            if "disabled" in answer.lower():
                break
        if pause is not None:
            time.sleep(pause)
    raise ClusterError(
        f"job {job_id} could not be requeued ({answer}); its checkpoint is kept: "
        "run kd-submit again to go on, or ask for a longer time"
    )
