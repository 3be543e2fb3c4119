"""The one way to read a JSON file of a run folder: a regular file of bounded size whose content has the expected shape.

Run folders are copied, shared and written by other people, so a reader must not hang on a pipe, fill the memory with
a file of any size, or pass on a value of another type.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

LARGEST = 64 << 20  # bytes; the plan of 100,000 jobs takes 40 MiB

Content = TypeVar("Content")


def read_bounded_json(path: Path, shape: type[Content], *, largest: int = LARGEST) -> Content:
    """Return the content of a JSON file as a value of type ``shape``.

    Raises OSError when the file is absent or cannot be opened, and ValueError when it is no regular file, is larger
    than ``largest`` bytes, is no JSON (NaN included), or has another shape; the message names the place.
    """
    try:
        return msgspec.json.decode(_read(path, largest), type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when the file is absent or is not (yet) one."""
    try:
        return read_bounded_json(path, dict[str, Any])
    except (OSError, ValueError):
        return None


def _read(path: Path, largest: int) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # NONBLOCK: a pipe nobody writes to opens too
    with open(handle, "rb", buffering=0) as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if found.st_size > largest:
            raise ValueError(f"{found.st_size:,} bytes; at most {largest:,} are read")
        content = file.read(largest + 1) or b""
        while len(content) <= largest and (more := file.read(largest + 1 - len(content))):
            content += more
    if len(content) > largest:
        raise ValueError(f"more than {largest:,} bytes")
    return content
