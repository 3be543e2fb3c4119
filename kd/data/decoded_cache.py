"""Data sets that are slow to decode, decoded once and kept beside their files for every later job.

The store is ``<root>/.kd/<key>.safetensors`` (hidden files are no part of a data set), or lies in the folder that
``KD_CACHE`` names. The key is of everything that decides the pixels: settings, and path, size and time of every file
used. Beside it lies its SHA-256; a store that does not match is decoded anew. Where nothing may be written the set is
decoded each time, with a warning.

Such a folder may be shared, and whoever writes into it decides the pixels. So a store is read only if it belongs to
this user, to root, or to the owner of the data, and no one else may write to it. Beside a stranger's store, this user
has one of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kd.data.arrays import ImageArrays
from kd.data.decoded import SUFFIX, read_decoded, write_decoded
from kd.errors import DataError
from kd.files import sha256_file, write_text

FOLDER = ".kd"
_VERSION = 2  # raise it when decoding changes


def decoded_once(
    root: Path, settings: Mapping[str, object], files: Sequence[Path], decode: Callable[[], ImageArrays]
) -> ImageArrays:
    """Return the kept data set of ``root`` with these settings and files, or ``decode`` it and keep it.

    Jobs that start at once wait for the first to decode (where the file system knows locks; else each decodes, and all
    write the same). Raises DataError as ``decode`` does.
    """
    folder = Path(os.environ.get("KD_CACHE") or root / FOLDER)
    key, own = _key(root, settings, files), f"-{os.geteuid()}"
    owners = {os.geteuid(), 0, root.stat().st_uid}
    shared, private = (folder / f"{key}{ending}{SUFFIX}" for ending in ("", own))

    def kept() -> ImageArrays | None:
        found = _read(shared, owners)
        return _read(private, owners) if found is None else found

    arrays = kept()
    if arrays is not None:
        return arrays
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _locked(folder / f"{key}{own}.lock"):
            arrays = kept()
            if arrays is None:
                arrays = decode()
                _write(arrays, shared if _may_replace(shared) and _may_replace(_checksum(shared)) else private)
    except OSError as error:
        where = f"{folder}: {error.strerror}"
        print(f"kd: the decoded images are not kept ({where}); set KD_CACHE to a folder of yours", file=sys.stderr)
    return decode() if arrays is None else arrays


def _may_replace(path: Path) -> bool:
    """Return whether a file is this user's, or is not there yet."""
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except FileNotFoundError:
        return True


def _write(arrays: ImageArrays, store: Path) -> None:
    write_decoded(arrays, store)
    write_text(_checksum(store), sha256_file(store))
    for path in (store, _checksum(store)):
        path.chmod(0o644)  # whatever the umask: a store that others may write to is not read again


def _read(store: Path, owners: Collection[int]) -> ImageArrays | None:
    """Return the data set of a store, or None where there is none, a damaged one, or a stranger's."""
    try:
        with _opened(_checksum(store), owners) as path:
            expected = path.read_text(encoding="utf-8")
        with _opened(store, owners) as path:
            return read_decoded(path) if sha256_file(path) == expected else None
    except (OSError, UnicodeDecodeError, DataError):
        return None


@contextmanager
def _opened(path: Path, owners: Collection[int]) -> Iterator[Path]:
    """Yield a name of the very file that was checked, which nobody can exchange meanwhile.

    Raises PermissionError where it is a link or no file, belongs to none of ``owners``, or others may write to it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in owners or facts.st_mode & 0o022:
            raise PermissionError(f"{path}: not a file that this user may trust")
        held = Path(f"/proc/self/fd/{handle}")
        yield held if held.exists() else path
    finally:
        os.close(handle)


def _checksum(store: Path) -> Path:
    return store.with_suffix(".sha256")


def _key(root: Path, settings: Mapping[str, object], files: Sequence[Path]) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode())
    for path in files:
        facts = path.stat()
        digest.update(f"{path.relative_to(root)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold this user's lock for the block; the system frees it when the process ends, however it does.

    Raises OSError where a link stands in its place: what that leads to is not opened. Another user's file is no lock:
    its owner could hold it forever.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, 0o600)  # whoever may open it may hold it
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
