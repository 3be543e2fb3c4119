"""The files and folders below a folder, through links too: what a data set that lies in a folder consists of.

Torch-free, and the one walk of readers and fingerprints, so that no image is read which no fingerprint knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kd.errors import DataError


class Entry(NamedTuple):
    """A file or folder; ``path`` is relative to the folder walked, with forward slashes."""

    path: str
    is_folder: bool


def walk(folder: Path) -> Iterator[Entry]:
    """Yield everything below ``folder`` except hidden files and folders (``.name``), in no order.

    Links are followed. Raises DataError for a link to nothing or to a folder that holds the link, and for pipes and
    devices, whose reading would never end; OSError when a folder cannot be listed.
    """
    yield from _below(folder, "", frozenset())


def _below(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    facts = os.stat(folder)
    identity = (facts.st_dev, facts.st_ino)
    if identity in above:
        raise DataError(f"{folder}: a link to a folder that holds it; remove the link")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = prefix + entry.name
            if entry.is_dir():
                yield Entry(path, is_folder=True)
                yield from _below(Path(entry.path), f"{path}/", above | {identity})
            elif entry.is_file():
                yield Entry(path, is_folder=False)
            else:
                what = "a link to what is not there" if entry.is_symlink() else "no file but a pipe or a device"
                raise DataError(f"{entry.path}: {what}; remove it")
