"""What an unfinished job left in its folder: how far it came, when it was last heard of, how it failed. Files only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kd.rundir.folders import StageFolder, read_object
from slurm.state.submissions import Submission


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """How far a job came."""

    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    seconds_left: float | None = None  # at the speed of the last epoch
    host: str | None = None
    partition: str | None = None
    restarts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """The files of one unfinished job. ``heard`` is the Unix time of its last heartbeat, 0 when there was none."""

    reached: Reached = Reached()
    heard: float = 0.0
    failure: Mapping[str, Any] = field(default_factory=dict)

    def failed_in(self, submission: Submission | None) -> bool:
        """Whether failure.json is of this submission, not of an older one; of any when None is given."""
        if not self.failure or submission is None:
            return bool(self.failure)
        job_id = self.failure.get("job_id")
        if job_id is not None:
            return bool(job_id == submission.job_id)
        return (_number(self.failure.get("time")) or 0.0) >= submission.time

    @property
    def interrupted(self) -> bool:
        """Whether the last attempt ended because it was asked to."""
        return self.failure.get("error") == "Interrupted"

    @property
    def message(self) -> str:
        """The first line of why the last attempt failed."""
        text = str(self.failure.get("message") or self.failure.get("error") or "no message was left")
        return (text.strip().splitlines() or ["no message was left"])[0]


def read_traces(folder: StageFolder) -> Traces:
    """Read the files of an unfinished job; what is missing or not whole yet counts as not there."""
    progress = read_object(folder.progress) or {}
    attempt = read_object(folder.attempt) or {}
    return Traces(
        reached=_progress(progress, attempt),
        heard=_heard(folder, progress),
        failure=read_object(folder.failure) or {},
    )


def result_reached(result: Mapping[str, Any]) -> Reached:
    """Return what result.json says in the words of a running job."""
    job = _object(result.get("job"))
    metric = _text(result.get("metric")) or "accuracy"
    value = _number(_object(_object(result.get("validation")).get("best")).get(metric))
    epochs = _whole(result.get("epochs"))
    return Reached(
        epoch=epochs,
        epochs=epochs,
        metric=None if value is None else f"val_{metric}",
        value=value,
        host=_text(job.get("host")),
        partition=_text(job.get("partition")),
        restarts=_whole(job.get("restarts")) or 0,
    )


def _progress(progress: Mapping[str, Any], attempt: Mapping[str, Any]) -> Reached:
    metric = _object(progress.get("metric"))
    return Reached(
        epoch=_whole(progress.get("epoch")),
        epochs=_whole(progress.get("epochs")),
        metric=_text(metric.get("name")),
        value=_number(metric.get("value")),
        seconds_left=_seconds_left(progress),
        host=_text(progress.get("host")) or _text(attempt.get("host")),
        restarts=_whole(attempt.get("restarts")) or 0,
    )


def _seconds_left(progress: Mapping[str, Any]) -> float | None:
    """``epoch`` is the one under way, counted from 1, and ``step`` of ``steps`` of it are done."""
    names = ("epoch", "epochs", "step", "steps", "seconds_per_epoch")
    epoch, epochs, step, steps, seconds = (_number(progress.get(name)) for name in names)
    if epoch is None or epochs is None or seconds is None:
        return None
    part = step / steps if step is not None and steps else 0.0
    return max(0.0, (epochs - (epoch - 1) - part) * seconds)


def _heard(folder: StageFolder, progress: Mapping[str, Any]) -> float:
    """Return the later of the node's clock and the file server's: either may be slow."""
    if not progress:
        return 0.0
    try:
        written = folder.progress.stat().st_mtime
    except OSError:
        written = 0.0
    return max(_number(progress.get("updated")) or 0.0, written)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
