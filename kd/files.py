"""Reading, writing and hashing files so that no reader ever sees half of one.

Every write goes to a unique temporary name in the same folder, is fsynced, then renamed: a kill at any instant leaves
the old file or the new one. Leftover temporary files are harmless and never block a later write.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20  # stays in the processor's cache between the read, the write and the hash

_staying: list[Path] = []  # folders that were there when a job began


@contextmanager
def staying(folder: Path) -> Iterator[None]:
    """Within, never make ``folder`` anew: when it is gone, somebody moved or deleted it."""
    _staying.append(folder)
    try:
        yield
    finally:
        _staying.remove(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises FileNotFoundError below a folder that was to stay and is gone."""
    for place in _staying:
        if (folder == place or place in folder.parents) and not place.is_dir():
            raise FileNotFoundError(errno.ENOENT, "moved or deleted while this process used it", str(place))
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_path(target: Path, *, durable: bool = True, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on a clean exit fsync it and rename it to ``target``.

    ``durable=False`` leaves the fsync out: for node-local scratch, which nobody reads after a crash. A ``private`` file
    is readable by its owner alone.
    """
    import tempfile  # only here: commands that only look write nothing, and must start fast

    make_folder(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o600 if private else 0o666 & ~_umask())
        os.replace(temporary, target)
        if durable:
            sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def deny_others_to_write() -> None:
    """From now on, make files and folders of this process writable by their owner only, whatever the shell's umask."""
    os.umask(_umask() | 0o022)


def _umask() -> int:
    """Return the process's umask (mkstemp ignores it and makes files private)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(target: Path, text: str, *, private: bool = False) -> None:
    """Write ``text`` to ``target`` atomically; ``private`` as in :func:`atomic_path`."""
    with atomic_path(target, private=private) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any, *, private: bool = False) -> None:
    """Write ``value`` as indented JSON to ``target`` atomically. NaN is refused: it is no JSON."""
    write_text(target, json.dumps(value, indent=1, allow_nan=False) + "\n", private=private)


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises OSError or ValueError as ``json`` does."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync, so that it survives a kill that follows at once. Raises OSError for a link."""
    make_folder(path.parent)
    # a link in its place may lead to any file of this user's; a pipe would hold the process up
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        rest = memoryview((line + "\n").encode())
        while rest:  # a disk that fills up takes a part without an error; the next write then says so
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        # a result of 2 KB needs no buffer of megabytes; one that grows meanwhile takes more turns
        buffer = memoryview(bytearray(min(CHUNK_BYTES, os.fstat(file.fileno()).st_size + 1)))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
