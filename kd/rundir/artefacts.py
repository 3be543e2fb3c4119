"""The files that a result names: where they may lie, and whether they are there and unchanged."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

LARGEST = 1 << 30  # bytes; of a larger file a tenth must be on the disk, so that nobody reads holes for hours
LEAST_SHARE = 0.1
BLOCK = 512  # bytes: the unit of st_blocks, on every file system


def damaged_files(folder: Path, files: Mapping[str, str], digest_of: Callable[[Path], str]) -> list[str]:
    """Return which of these files (relative names and their SHA-256) are missing or have other bytes."""
    return [
        name for name, digest in files.items() if not is_own_file(folder, name) or digest_of(folder / name) != digest
    ]


def is_own_file(folder: Path, name: str) -> bool:
    """Return whether a folder has a regular file of that name reached without a link, and no giant hole."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        return False
    try:
        for depth in range(1, len(parts)):
            if not stat.S_ISDIR(os.lstat(os.path.join(folder, *parts[:depth])).st_mode):
                return False
        found = os.lstat(os.path.join(folder, name))
    except (OSError, ValueError):
        return False
    sparse = found.st_size > LARGEST and found.st_blocks * BLOCK < LEAST_SHARE * found.st_size
    return stat.S_ISREG(found.st_mode) and not sparse
