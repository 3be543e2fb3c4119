"""Processes of the local executor, told apart from strangers that later got the same process id.

A process is known by its host, the boot of that host and the clock tick at which it started (proc(5)). Systems without
/proc are asked through ``ps``.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_STATE_AND_START = (0, 19)  # of the fields of /proc/<pid>/stat that follow the command's name
_DEAD = "ZX"


@dataclass(frozen=True, slots=True)
class Process:
    """One process. ``started`` is unlike that of any other process with this id, before or after."""

    pid: int
    host: str
    started: str

    @property
    def here(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == os.uname().nodename

    @property
    def alive(self) -> bool:
        """Whether it runs on this machine now."""
        return self.here and _started(self.pid) == self.started

    def terminate(self) -> bool:
        """Send SIGTERM if it is alive; tell whether it was."""
        if not self.alive:
            return False
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True


def describe(pid: int) -> Process | None:
    """Return a running process of this machine, or None when there is none with this id."""
    started = _started(pid)
    return None if started is None else Process(pid, os.uname().nodename, started)


def _started(pid: int) -> str | None:
    if not PROC.is_dir():
        return _started_by_ps(pid)
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    state, start = (fields[index] for index in _STATE_AND_START)
    return None if state in _DEAD else f"{boot} {start}"


def _started_by_ps(pid: int) -> str | None:
    import subprocess  # only here: kd-status reads this file, and must start fast

    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    )
    state, _, start = answer.stdout.strip().partition(" ")
    return None if not start or state[0] in _DEAD else " ".join(start.split())
