"""attempt.json as a value: which attempt owns a stage folder, or was the last to do so."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import StageFolder

FORMAT = 1


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One attempt. ``token`` is unlike any other's; ``restarts`` counts those of the very same Slurm job."""

    format: int = FORMAT
    token: str = ""
    attempt: int | None = None
    job_id: str | None = None
    restarts: int = 0
    host: str | None = None
    pid: int | None = None
    started: float = 0.0  # a Unix time
    fingerprint: str | None = None

    def __str__(self) -> str:
        job = f"job {self.job_id}" if self.job_id else f"process {self.pid}"
        return f"{job} on {self.host} (attempt {self.attempt})"


def write_attempt(folder: StageFolder, record: AttemptRecord) -> None:
    """Write attempt.json atomically."""
    write_json(folder.attempt, msgspec.to_builtins(record))


def read_attempt(folder: StageFolder) -> AttemptRecord | None:
    """Return the newest attempt's record, or None when there is none that can be read."""
    try:
        return read_bounded_json(folder.attempt, AttemptRecord)
    except (OSError, ValueError):
        return None
