"""Processes of the local executor, told apart from strangers that later got the same process id.

A process is known by its host, the boot of that host and the clock tick at which it started (proc(5)). Systems without
/proc are asked through ``ps``.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

PROC = Path("/proc")
_STATE_AND_START = (0, 19)  # of the fields of /proc/<pid>/stat that follow the command's name
_DEAD = "ZX"
_STAGE_COMMAND = "fork_server"  # a stage is a fork of it, and has its command line


class Process(Struct, frozen=True):
    """One process. ``started`` is unlike that of any other process with this id, before or after."""

    pid: Annotated[int, Meta(ge=1)]
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

    def has_open(self, file: Path) -> bool:
        """Whether it has this very file open, as a kd-submit at work has its run's journal."""
        if not self.alive:
            return False
        if not PROC.is_dir():
            return "kd-submit" in _ps(self.pid, "command=")
        return any(_same(handle, file) for handle in _entries(PROC / str(self.pid) / "fd"))

    def is_stage_in(self, folder: Path) -> bool:
        """Whether it is a stage that was started with this working folder, as the local executor starts them."""
        if not self.alive:
            return False
        if not PROC.is_dir():
            return _STAGE_COMMAND in _ps(self.pid, "command=")
        process = PROC / str(self.pid)
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            return False
        return _STAGE_COMMAND.encode() in command and _same(process / "cwd", folder)

    def terminate(self) -> bool:
        """Send SIGTERM if it is alive; tell whether it was."""
        return self.signal(signal.SIGTERM)

    def signal(self, number: int) -> bool:
        """Send a signal if it is alive; tell whether it was."""
        if not self.alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def describe(pid: int) -> Process | None:
    """Return a running process of this machine, or None when there is none with this id."""
    started = _started(pid)
    return None if started is None else Process(pid, os.uname().nodename, started)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # another user's, or it has just ended
        return []


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


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
    state, _, start = _ps(pid, "stat=,lstart=").strip().partition(" ")
    return None if not start or state[0] in _DEAD else " ".join(start.split())


def _ps(pid: int, fields: str) -> str:
    import subprocess  # only here: every kd-status loads this file, and must start fast

    answer = subprocess.run(
        ["ps", "-o", fields, "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    )
    return answer.stdout
