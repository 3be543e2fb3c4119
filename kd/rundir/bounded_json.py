"""The one way to read a file of a run folder: a regular file, no link, of bounded size, of the expected shape.

Run folders are copied, shared and written by other people, so a reader must not hang on a pipe, fill the memory with
a file of any size, follow a link out of the folder, or pass on a value of another type.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

LARGEST = 64 << 20  # bytes; the plan of 100,000 jobs takes 40 MiB

Content = TypeVar("Content")


def read_bounded_json(path: Path, shape: type[Content], *, largest: int = LARGEST) -> Content:
    """Return the content of a JSON file as a value of type ``shape``.

    Raises OSError when the file is absent or cannot be opened, and ValueError when it is no regular file, is larger
    than ``largest`` bytes, is no JSON (NaN included), or has another shape; the message names the place.
    """
    try:
        return msgspec.json.decode(read_bounded(path, largest), type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when the file is absent or is not (yet) one."""
    try:
        return read_bounded_json(path, dict[str, Any])
    except (OSError, ValueError):
        return None


def read_bounded(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of a regular file.

    Raises OSError when it cannot be opened, and ValueError when it is no regular file or larger than ``largest`` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"{size:,} bytes; at most {largest:,} are read")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"more than {largest:,} bytes")
    return content


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError, for a link too, and ValueError when it is of another type."""
    # NONBLOCK: a pipe that nobody writes to opens too
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("not a regular file")
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
