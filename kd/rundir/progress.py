"""progress.json as a value: the heartbeat of a job that runs. It shows how far the job came, not that it still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import StageFolder


class ProgressMetric(Struct, frozen=True, kw_only=True):
    """The newest value of the metric by which epochs are compared: ``val_accuracy``."""

    name: str
    value: float


class Progress(Struct, frozen=True, kw_only=True):
    """How far a job is: the epoch and step under way (from 1), of how many. ``updated`` is a Unix time."""

    epoch: int
    epochs: int
    step: int | None = None
    steps: int | None = None
    metric: ProgressMetric | None = None
    seconds_per_epoch: float | None = None
    images_per_second: float | None = None
    attempt: int = 0
    host: str | None = None
    job_id: str | None = None
    updated: float = 0.0


def read_progress(folder: StageFolder) -> Progress | None:
    """Return the newest heartbeat of a job, or None when there is none that can be read."""
    try:
        return read_bounded_json(folder.progress, Progress)
    except (OSError, ValueError):
        return None


class Heartbeat:
    """Writes progress.json at most every ``seconds``: ``due`` is whether that long has passed since the last time."""

    def __init__(self, path: Path, *, seconds: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._seconds, self._clock = seconds, clock
        self._next = clock()

    def due(self) -> bool:
        """Return whether it is time to write again."""
        return self._clock() >= self._next

    def write(self, progress: Progress) -> None:
        """Write a heartbeat with the time of writing."""
        write_json(self.path, msgspec.to_builtins(msgspec.structs.replace(progress, updated=time.time())))
        self._next = self._clock() + self._seconds
