"""failure.json as a value: why the last attempt at a job failed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import StageFolder


class Failure(Struct, frozen=True, kw_only=True):
    """The error of an attempt: its type, its message for a person, its traceback. ``time`` is a Unix time."""

    error: str = ""
    message: str = ""
    traceback: str = ""
    attempt: int | None = None
    time: float = 0.0
    job_id: str | None = None
    host: str | None = None

    @property
    def reason(self) -> str:
        """The message in one line, or what there is instead of one."""
        lines = (self.message.strip() or self.error.strip()).splitlines()
        return lines[0].strip() if lines else "no message was left"


def write_failure(folder: StageFolder, failure: Failure) -> None:
    """Write failure.json atomically. Raises OSError when the disk is full."""
    write_json(folder.failure, msgspec.to_builtins(failure))


def read_failure(folder: StageFolder) -> Failure | None:
    """Return why the last attempt at a job failed, or None when no failure is recorded that can be read."""
    try:
        return read_bounded_json(folder.failure, Failure)
    except (OSError, ValueError):
        return None
