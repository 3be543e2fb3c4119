"""Copies a data set to scratch: one archive, or a folder of a few files. Never unpacks anything there.

A folder of many small files stays where it is (60,000 files take half a minute to copy; their archive takes
0.04 s), and so does whatever does not fit or cannot be copied: the shared copy is then read in place, with a
warning.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kd.files import sha256_file
from slurm.job.publish import free_bytes

MOST_FILES = 1000


@dataclass(slots=True)
class StagedData:
    """The staged copy, or ``root`` None when the data set is read in place."""

    root: Path | None = None
    seconds: float = 0.0
    bytes: int = 0
    digests: dict[str, str] = field(default_factory=dict)  # SHA-256 by name, filled in during the training


class _StaysShared(Exception):
    """The data set is better read in place; ``str(error)`` is the reason."""


def stage_data(root: Path, scratch: Path, reserve_bytes: int, warn: Callable[[str], None]) -> StagedData:
    """Copy the data set ``root`` into ``scratch``, leaving ``reserve_bytes`` free there.

    The copy is hashed in the background: nobody waits for digests that serve as a record only, and on few
    processors hashing would make the copy three times slower. A missing data set is left to its reader, whose
    error names it.
    """
    begin = time.monotonic()
    folder = scratch / "data"
    target = folder / root.name
    try:
        files = _files_to_copy(root)
        copies = {name: target / name if root.is_dir() else target for name in files}
        need, free = sum(file.stat().st_size for file in files.values()) + reserve_bytes, free_bytes(scratch)
        if need > free:
            raise _StaysShared(f"{need:,} bytes are needed and scratch has {free:,} free")
        for name, source in files.items():
            copies[name].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copies[name])
        copied = sum(copy.stat().st_size for copy in copies.values())
    except (_StaysShared, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        warn(f"data set {root} is read in place: {error}")
        return StagedData(seconds=time.monotonic() - begin)
    staged = StagedData(target, time.monotonic() - begin, copied)
    threading.Thread(target=_hash_files, args=(copies, staged.digests), daemon=True).start()
    return staged


def _files_to_copy(root: Path) -> dict[str, Path]:
    """Return the data set's files by their name in ``root``; links are followed, so that the copy is whole."""
    if not root.is_dir():
        return {root.name: _regular(root)}
    files: dict[str, Path] = {}
    for folder, _, names in os.walk(root, followlinks=True):  # a loop of links ends at a limit of ours or the system's
        for name in names:
            path = Path(folder, name)
            files[str(path.relative_to(root))] = _regular(path)
        if len(files) > MOST_FILES:
            raise _StaysShared(f"it has more than {MOST_FILES:,} files; pack it as one archive to have it staged")
    if not files:
        raise _StaysShared("it is empty")
    return files


def _regular(path: Path) -> Path:
    """Return ``path`` when it leads to a regular file: reading a pipe or a device would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise _StaysShared(f"{path} is no regular file")
    return path


def _hash_files(files: Mapping[str, Path], digests: dict[str, str]) -> None:
    with suppress(OSError):  # the job ended first and scratch is gone
        for name, path in files.items():
            digests[name] = sha256_file(path)
