"""The first process watches the others from a thread: it may itself be waiting for one of them, in a call into torch.

A process that has ended, or that somebody has stopped, sends nothing more. The others are ended at once, and the
first process has some seconds to notice; if it does not, failure.json is written and it is ended too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
import torch.distributed as dist

from kd.rundir.failure import Failure, write_failure
from kd.stages.context import StageContext

POLL_SECONDS = 0.25
STOPPED_SECONDS = 60.0  # in state T while we run; a scheduler that suspends a job stops us too
GRACE_SECONDS = 10.0  # for the first process to notice by itself


class FollowerWatch:
    """Watches the processes of a stage until ``stop``. ``lost`` reports in one line what became of one."""

    def __init__(self, followers: Sequence[subprocess.Popen[str]], give_up: Callable[[str], None]) -> None:
        self.lost: str | None = None
        self._followers = followers
        self._give_up = give_up
        self._ended = threading.Event()
        self._stopped: Counter[int] = Counter()  # how often each was seen stopped, one time after another
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer: the followers may end."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            for rank, follower in enumerate(self._followers, start=1):
                if fate := self._fate(follower):
                    self.lost = f"process {rank + 1} of {len(self._followers) + 1} {fate}"
                    self._end_all(self.lost)
                    return

    def _fate(self, follower: subprocess.Popen[str]) -> str | None:
        code = follower.poll()
        if code is not None:
            return f"ended with code {code}; its output is in the job's log"
        self._stopped[follower.pid] = self._stopped[follower.pid] + 1 if _is_stopped(follower.pid) else 0
        if self._stopped[follower.pid] * POLL_SECONDS >= STOPPED_SECONDS:
            return f"was stopped (a debugger, SIGSTOP) for {STOPPED_SECONDS:.0f} s"
        return None

    def _end_all(self, message: str) -> None:
        """End the others, which frees a first process that waits for them; else end that one too."""
        for follower in self._followers:
            follower.kill()
        if self._ended.wait(GRACE_SECONDS):
            return
        if torch.cuda.is_available() and dist.group.WORLD is not None:
            with suppress(RuntimeError):
                dist.group.WORLD.abort()  # NCCL waits for what a lost process will never send
        if not self._ended.wait(GRACE_SECONDS):
            self._give_up(message)


def give_up(context: StageContext) -> Callable[[str], None]:
    """Return what ends this process for good: it writes failure.json first, since nothing else will."""

    def end(message: str) -> None:
        facts = context.facts()
        failure = Failure(
            error="RunError",
            message=message,
            attempt=facts.attempt,
            time=time.time(),
            job_id=facts.job_id,
            host=socket.gethostname(),
        )
        with suppress(OSError):  # a full disk: the line below is in the log all the same
            write_failure(context.folder, failure)
        print(f"kd: {message}", file=sys.stderr, flush=True)
        os._exit(1)

    return end


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except OSError:
        return False  # no /proc here, or just gone
