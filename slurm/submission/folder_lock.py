"""A lock on a folder of shared storage: a file that names its holder. Whoever waits for it learns who that is.

flock(2) may be missing on shared file systems, so the file's existence is the lock (SoftFileLock). That of a process of
this machine that has ended is removed, where the folder's rights allow it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kd.errors import RunError
from kd.rundir.bounded_json import read_bounded
from kd.rundir.process_identity import describe
from slurm.submission.job_identity import owner

if TYPE_CHECKING:
    from filelock import SoftFileLock

LARGEST = 4096  # bytes of its file
LOOK_SECONDS = 2.0  # how often a wait looks at who holds it


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lock, as its file tells."""

    user: str
    pid: int
    host: str
    ours: bool  # the file is this user's own

    @property
    def has_ended(self) -> bool:
        """Whether it is a process of this machine that is no more."""
        return self.host == socket.gethostname() and describe(self.pid) is None


@contextmanager
def folder_locked(lock: Path, patience: float, busy: str) -> Iterator[None]:
    """Hold a lock. Waits ``patience`` seconds for it, and no longer for another user's process that has ended.

    Raises RunError with ``busy``, who holds the lock, and what to do.
    """
    from filelock import SoftFileLock  # late: it loads asyncio, which a dry run need not wait for

    marker = SoftFileLock(lock)
    _acquire(marker, lock, time.monotonic() + patience, busy)
    try:
        yield
    finally:
        marker.release()


def _acquire(marker: SoftFileLock, lock: Path, deadline: float, busy: str) -> None:
    from filelock import Timeout

    while True:
        try:
            marker.acquire(timeout=min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
            return
        except Timeout:
            found = holder(lock)
        if found is not None and found.has_ended and not found.ours:
            what = f"{lock} was left behind by {found.user}'s kd-submit (process {found.pid}), which has ended"
            raise RunError(f"{what}: ask {found.user} to delete it, or use another --results") from None
        if time.monotonic() >= deadline:
            raise RunError(f"{busy}{_words(found)}; {_fix(lock, found)}")


def holder(lock: Path) -> Holder | None:
    """Return who holds a lock; None where its file is gone or tells nothing."""
    with suppress(OSError, ValueError, IndexError):
        pid, host = read_bounded(lock, LARGEST).decode().splitlines()[:2]
        return Holder(user=owner(lock), pid=int(pid), host=host.strip(), ours=lock.stat().st_uid == os.getuid())
    return None


def _words(found: Holder | None) -> str:
    return "" if found is None else f" ({found.user}, process {found.pid} on {found.host})"


def _fix(lock: Path, found: Holder | None) -> str:
    if found is None or found.ours:
        return f"if none is, delete {lock}"
    return f"if none is, {found.user} can delete {lock}"
