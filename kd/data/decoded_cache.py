"""Data sets that are slow to decode, decoded once and kept beside their files for every later job.

The store is ``<root>/.kd/<key>.safetensors`` (hidden files are no part of a data set), or lies in the folder that
``KD_CACHE`` names. The key is of everything that decides the pixels: settings, and path, size and time of every file
used. Beside it lies its SHA-256; a store that does not match is decoded anew. Where nothing may be written the set is
decoded each time, with a warning.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kd.data.arrays import ImageArrays
from kd.data.decoded import SUFFIX, read_decoded, write_decoded
from kd.errors import DataError
from kd.files import sha256_file, write_text

FOLDER = ".kd"
_VERSION = 1  # raise it when decoding changes


def decoded_once(
    root: Path, settings: Mapping[str, Any], files: Sequence[Path], decode: Callable[[], ImageArrays]
) -> ImageArrays:
    """Return the kept data set of ``root`` with these settings and files, or ``decode`` it and keep it.

    Jobs that start at once wait for the first to decode (where the file system knows locks; else each decodes, and all
    write the same). Raises DataError as ``decode`` does.
    """
    folder = Path(os.environ.get("KD_CACHE") or root / FOLDER)
    store = folder / f"{_key(root, settings, files)}{SUFFIX}"
    if (kept := _read(store)) is not None:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(store.with_suffix(".lock")):
            if (kept := _read(store)) is None:
                kept = decode()
                write_decoded(kept, store)
                write_text(_checksum(store), sha256_file(store))
    except OSError as error:
        where = f"{folder}: {error.strerror}"
        print(f"kd: the decoded images are not kept ({where}); set KD_CACHE to a folder of yours", file=sys.stderr)
    return decode() if kept is None else kept


def _read(store: Path) -> ImageArrays | None:
    """Return the data set of a store, or None where there is none, or a damaged one."""
    try:
        if sha256_file(store) == _checksum(store).read_text(encoding="utf-8"):
            return read_decoded(store)
    except (OSError, UnicodeDecodeError, DataError):
        return None
    return None


def _checksum(store: Path) -> Path:
    return store.with_suffix(".sha256")


def _key(root: Path, settings: Mapping[str, Any], files: Sequence[Path]) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode())
    for path in files:
        facts = path.stat()
        digest.update(f"{path.relative_to(root)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock for the block; the system frees it when the process ends, however it does."""
    with open(path, "w", encoding="utf-8") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
