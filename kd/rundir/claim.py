"""At most one attempt trains a stage folder at a time; a newer attempt of the same job wins over an older one.

Two guards, because neither is enough on shared storage:

* ``.lock`` is held (flock) while an attempt lives; the kernel or the file server frees it when the process
  or its node dies.
* ``attempt.json`` names the attempt that owns the folder. An attempt that finds another's token there has
  been superseded: it stops and publishes nothing. This covers a node that lost contact: Slurm restarts its
  job elsewhere while the old process still runs. It also covers file systems without flock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kd.errors import RunError
from kd.rundir.attempt_record import AttemptRecord, read_attempt, write_attempt
from kd.rundir.folders import StageFolder

BUSY_SECONDS = 45.0  # Slurm lets a cancelled job live for KillWait (30 s by default)
TAKEOVER_SECONDS = 180.0  # a file server frees a dead node's lock after its lease (90 s on NFS)
CHECK_SECONDS = 5.0
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimant:
    """The scheduler's job that an attempt belongs to, and how often that was restarted; None for a person's own."""

    job_id: str | None = None
    restarts: int = 0


class Superseded(RunError):
    """A newer attempt of this job owns the stage folder now."""


@dataclass(slots=True)
class Claim:
    """The right of one attempt to train a stage folder."""

    folder: StageFolder
    token: str
    restarts: int  # how often this very job has been restarted, by Slurm or by a requeue of its own
    previous: AttemptRecord | None = None  # the attempt before, if any
    _next_check: float = 0.0

    def superseded(self) -> bool:
        """Return whether another attempt owns the folder now; reads the disk at most every few seconds."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_SECONDS
        return self._lost()

    def require(self) -> None:
        """Raise Superseded when another attempt owns the folder now."""
        if self._lost():
            raise Superseded(f"{self.folder.path}: a newer attempt of this job has taken over; this one stops")

    def _lost(self) -> bool:
        # An unreadable record proves nothing: shared storage has hiccups. Only another token does.
        record = read_attempt(self.folder)
        return record is not None and record.token != self.token


@contextmanager
def claim_stage(
    folder: StageFolder,
    job: Claimant,
    attempt: int,
    fingerprint: str | None,
    log: Callable[[str], None],
    busy_seconds: float = BUSY_SECONDS,
) -> Iterator[Claim]:
    """Hold a stage folder for this attempt.

    Waits a little for an attempt that is about to end. The same Slurm job, restarted, takes the folder over
    from its older self at once. Raises RunError naming the holder when another process keeps it.
    """
    # Whoever may open the file may lock it, and so keep this job out: nobody else may.
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        previous = read_attempt(folder)
        same_job = previous is not None and job.job_id is not None and previous.job_id == job.job_id
        restarts = max(job.restarts, previous.restarts + 1 if previous and same_job else 0)
        claim = Claim(folder, secrets.token_hex(8), restarts, previous)
        record = AttemptRecord(
            token=claim.token,
            attempt=attempt,
            job_id=job.job_id,
            restarts=restarts,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
            fingerprint=fingerprint,
        )
        if same_job:
            write_attempt(folder, record)  # the older self, should it live on, stops when it reads this
        if not _lock(handle, TAKEOVER_SECONDS if same_job else busy_seconds, log):
            raise RunError(f"{folder.path}: in use already: {previous or 'another process'} trains here")
        write_attempt(folder, record)
        yield claim
    finally:
        os.close(handle)  # frees the lock


def _lock(handle: int, seconds: float, log: Callable[[str], None]) -> bool:
    """Lock the open file, waiting up to ``seconds``; True as well where the file system has no locks."""
    deadline = time.monotonic() + seconds
    waiting = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                log("the file system has no locks: relying on attempt.json alone")
                return True
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            return False
        if not waiting:
            log(f"another process holds this folder; waiting up to {seconds:.0f} s for it to end")
            waiting = True
        time.sleep(0.2)
