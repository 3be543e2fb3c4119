"""Copies what a stage wrote on scratch to its folder on shared storage: atomically, and only what changed.

A full disk or quota leaves the older files as they were and no half file.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from kd.errors import RunError
from kd.files import atomic_path, sha256_file
from kd.hashed_copy import copy_hashed

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
LEAST_BYTES = 1 << 16
RETRY_PAUSES = (1.0, 4.0, 15.0)  # seconds; in all less than the time between the stop signal and the kill

_Signature: TypeAlias = tuple[int, int, int, int]


@dataclass(slots=True)
class Publisher:
    """Copies files from ``work`` to ``durable``; the same folder twice means in place: files are only hashed.

    ``still_ours`` is called first and raises when another attempt owns the durable folder.
    """

    work: Path
    durable: Path
    still_ours: Callable[[], None] = lambda: None
    retry_pauses: Sequence[float] = RETRY_PAUSES
    seconds: float = 0.0
    bytes: int = 0
    _known: dict[str, tuple[_Signature, str]] = field(default_factory=dict)  # by name: as last published, SHA-256

    def publish(self, names: Sequence[str]) -> dict[str, str]:
        """Make the durable copies of these files (relative names) current; return their SHA-256 by name.

        Raises RunError, naming what is missing, when the shared disk stays full.
        """
        self.still_ours()
        begin = time.monotonic()
        try:
            return {name: self._publish(name) for name in names}
        finally:
            self.seconds += time.monotonic() - begin

    def note(self, name: str, digest: str) -> None:
        """Record that work and durable hold the same bytes of ``name`` already."""
        self._known[name] = (_signature(self.work / name), digest)

    def _publish(self, name: str) -> str:
        assert not {"/", ".."}.intersection(PurePosixPath(name).parts), name
        source, target = self.work / name, self.durable / name
        signature = _signature(source)
        older = self._known.get(name)
        if older is not None and older[0] == signature and target.is_file():
            return older[1]
        if self.work == self.durable:
            digest = sha256_file(source)
        else:
            digest = self._link(name, signature) or self._copy(source, target)
        self._known[name] = (signature, digest)
        return digest

    def _link(self, name: str, signature: _Signature) -> str | None:
        """Publish a renamed file (resume.pt -> resume.previous.pt) by a hard link, so that no bytes move.

        Returns None where that does not apply or the file system has no hard links.
        """
        same = [older for older, (seen, _) in self._known.items() if seen == signature and older != name]
        for older in same[:1]:
            with suppress(OSError), atomic_path(self.durable / name) as temporary:
                temporary.unlink()
                os.link(self.durable / older, temporary)
                return self._known[older][1]
        return None

    def _copy(self, source: Path, target: Path) -> str:
        for pause in (*self.retry_pauses, None):
            try:
                digest = copy_hashed(source, target)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                if pause is None:
                    raise RunError(_disk_full(source, target)) from error
                time.sleep(pause)
            else:
                break
        self.bytes += source.stat().st_size
        return digest


def hit_full_disk(error: BaseException) -> bool:
    """Return whether ``error`` comes of a full disk or a used-up quota, by its number."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in DISK_FULL:
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def is_full(folder: Path) -> bool:
    """Return whether the file system of ``folder`` has no room left for even a small file."""
    return free_bytes(folder) < LEAST_BYTES


def free_bytes(folder: Path) -> int:
    """Return the bytes a user may still write on the file system of ``folder`` (quotas do not show)."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _disk_full(source: Path, target: Path) -> str:
    need, free = source.stat().st_size, free_bytes(target.parent)
    lacking = f"{need - free:,} more bytes are needed" if need > free else "your quota is used up"
    return (
        f"{target}: the shared disk is full: {need:,} bytes to write, {free:,} free, {lacking}; "
        "the older checkpoint is kept: make room and run kd-submit again"
    )


def _signature(path: Path) -> _Signature:
    """Return what changes whenever a file is replaced or rewritten."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
