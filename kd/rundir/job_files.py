"""What the files of one job say: its result, how far it came, its last heartbeat, how its last attempt failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kd.rundir.folders import StageFolder, read_object
from kd.rundir.journal import Submission

Damage = Literal["", "stale", "damaged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a job came, and where."""

    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    seconds_left: float | None = None  # at the speed of the last epoch
    host: str | None = None
    partition: str | None = None
    restarts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultOrigin:
    """Which attempt wrote result.json: its Slurm job, if it had one, and when (Unix time)."""

    job_id: str | None = None
    finished: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why the last attempt ended without a result. ``interrupted``: because it was asked to stop."""

    message: str
    interrupted: bool = False
    time: float = 0.0
    job_id: str | None = None

    def is_of(self, submission: Submission) -> bool:
        """Whether it is of this submission, not of an older one; without a job id the time decides."""
        return self.time >= submission.time if self.job_id is None else self.job_id == submission.job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFiles:
    """The files of one job. ``heartbeat`` is the Unix time of the last one, 0 when there was none.

    A result that does not count is no ``result``: ``damage`` names its fault, and ``fault`` says it in words.
    """

    result: ResultOrigin | None = None
    damage: Damage = ""
    fault: str = ""
    heartbeat: float = 0.0
    failure: Failure | None = None
    went_on: bool = False  # the heartbeat is newer than the failure: another attempt has begun since
    progress: Progress = field(default_factory=Progress)


def read_job_files(
    folder: StageFolder,
    fingerprint: str,
    newest: Submission | None = None,
    damaged_artefacts: Callable[[StageFolder], list[str]] | None = None,
) -> JobFiles:
    """Read what a job left in its folder; what is missing or not whole yet counts as not there.

    A result of another fingerprint is of another plan. With ``damaged_artefacts`` its files are verified too, which
    reads them whole. ``newest`` is the job's newest submission: where the result is of another one, the job may be
    made anew, and the heartbeat that it has had since tells how far it is.
    """
    value = folder.read_result()
    damage, fault = _damage(folder, value, fingerprint, damaged_artefacts)
    result = None if value is None or damage else _origin(folder, value)
    if value is not None and result is not None and _is_newest(result, newest):
        return JobFiles(result=result, progress=_progress_of_result(value))
    beats = read_object(folder.progress) or {}
    failure, heartbeat = _failure(folder), _heartbeat(folder, beats)
    over = value is not None and result is not None and (newest is None or heartbeat < newest.time)
    return JobFiles(
        result=result,
        damage=damage,
        fault=fault,
        heartbeat=heartbeat,
        failure=failure,
        # The node's own clock against the node's own clock: the file server's may differ from both.
        went_on=failure is not None and (_number(beats.get("updated")) or 0.0) > failure.time,
        progress=_progress_of_result(value or {}) if over else _progress(beats, read_object(folder.attempt) or {}),
    )


def read_finished(folder: StageFolder, fingerprint: str, newest: Submission | None) -> JobFiles | None:
    """Return the files of a job whose result is of its newest submission: no scheduler need be asked about it."""
    value = folder.read_result()
    if value is None or value.get("fingerprint") != fingerprint:
        return None
    result = _origin(folder, value)
    return JobFiles(result=result, progress=_progress_of_result(value)) if _is_newest(result, newest) else None


def _is_newest(result: ResultOrigin, newest: Submission | None) -> bool:
    """Whether a result is of the newest submission. Processes of this machine have no job id: their times decide."""
    if newest is None or result.job_id == newest.job_id:
        return True
    return result.job_id is None and newest.process is not None and result.finished >= newest.time


def _damage(
    folder: StageFolder,
    result: Mapping[str, Any] | None,
    fingerprint: str,
    damaged_artefacts: Callable[[StageFolder], list[str]] | None,
) -> tuple[Damage, str]:
    if result is None:
        return ("damaged", "its result.json cannot be read") if folder.result.exists() else ("", "")
    found = str(result.get("fingerprint", ""))
    if fingerprint and found != fingerprint:
        return "stale", f"its result is of another job (fingerprint {found[:12]}, planned {fingerprint[:12]})"
    if damaged_artefacts is not None and (names := damaged_artefacts(folder)):
        return "damaged", f"missing or changed since it finished: {', '.join(names)}"
    return "", ""


def _origin(folder: StageFolder, result: Mapping[str, Any]) -> ResultOrigin:
    finished = _number(result.get("finished"))
    job_id = _text(_object(result.get("job")).get("job_id"))
    return ResultOrigin(job_id=job_id, finished=_written(folder.result) if finished is None else finished)


def _failure(folder: StageFolder) -> Failure | None:
    failure = read_object(folder.failure)
    if failure is None:
        return None
    text = str(failure.get("message") or failure.get("error") or "no message was left")
    return Failure(
        message=(text.strip().splitlines() or ["no message was left"])[0].strip(),
        interrupted=failure.get("error") == "Interrupted",
        time=_number(failure.get("time")) or 0.0,
        job_id=_text(failure.get("job_id")),
    )


def _progress_of_result(result: Mapping[str, Any]) -> Progress:
    """Return what result.json says in the words of a running job."""
    job = _object(result.get("job"))
    metric = _text(result.get("metric")) or "accuracy"
    value = _number(_object(_object(result.get("validation")).get("best")).get(metric))
    epochs = _whole(result.get("epochs"))
    return Progress(
        epoch=epochs,
        epochs=epochs,
        metric=None if value is None else f"val_{metric}",
        value=value,
        host=_text(job.get("host")),
        partition=_text(job.get("partition")),
        restarts=_whole(job.get("restarts")) or 0,
    )


def _progress(progress: Mapping[str, Any], attempt: Mapping[str, Any]) -> Progress:
    metric = _object(progress.get("metric"))
    return Progress(
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


def _heartbeat(folder: StageFolder, progress: Mapping[str, Any]) -> float:
    """Return the later of the node's clock and the file server's: either may be slow."""
    return max(_number(progress.get("updated")) or 0.0, _written(folder.progress)) if progress else 0.0


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
