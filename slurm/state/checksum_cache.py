"""Checksums that a run remembers, so that kd-submit on a login node reads again only the files that have changed.

A file counts as unchanged while its size, its inode and its time of change stay the same. Jobs do not rely on this:
they hash what they stage in.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from kd.files import sha256_file, write_json
from kd.rundir.bounded_json import read_bounded_json

SETTLED_SECONDS = 2.0  # a younger file may change again within the tick of its time stamp


Remembered: TypeAlias = tuple[str, int, int, int]  # the digest; size in bytes, inode, time of change in ns


class RememberedDigests:
    """SHA-256 by path; ``save`` keeps what was asked for in a JSON file for the next time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)
        self._asked: dict[str, Remembered] = {}

    def __call__(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes, in hex."""
        found = path.stat()
        state = (found.st_size, found.st_ino, found.st_mtime_ns)
        known = self._known.get(str(path))
        digest = known[0] if known is not None and known[1:] == state else sha256_file(path)
        if time.time_ns() - found.st_mtime_ns > SETTLED_SECONDS * 1e9:
            self._asked[str(path)] = (digest, *state)
        return digest

    def save(self) -> None:
        """Write what was asked for, if that is anything new; what was not asked for is forgotten."""
        if self._asked and self._asked != self._known:
            with suppress(OSError):  # without it, files are only read once more
                write_json(self._file, self._asked)


def _read(file: Path) -> dict[str, Remembered]:
    try:
        return read_bounded_json(file, dict[str, Remembered])
    except (OSError, ValueError):
        return {}  # none yet, or unreadable: every file is read again
