"""What the files of one job say: its result, how far it came, its last heartbeat, how its last attempt failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from kd.rundir.attempt_record import read_attempt
from kd.rundir.failure import read_failure
from kd.rundir.folders import StageFolder
from kd.rundir.journal import Submission
from kd.rundir.progress import Progress, read_progress
from kd.rundir.stage_result import DamagedResult, StageResult, load_result, read_result

Damage = Literal["", "stale", "damaged"]


class Reached(Struct, frozen=True, kw_only=True):
    """How far a job came, and where."""

    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    seconds_left: float | None = None  # at the speed of the last epoch
    images_per_second: float | None = None  # of the last epoch
    host: str | None = None
    partition: str | None = None
    restarts: int = 0


class ResultOrigin(Struct, frozen=True, kw_only=True):
    """Which attempt wrote result.json: its Slurm job, if it had one, and when (Unix time)."""

    job_id: str | None = None
    finished: float = 0.0


class LastFailure(Struct, frozen=True, kw_only=True):
    """Why the last attempt ended without a result. ``interrupted``: because it was asked to stop."""

    message: str
    interrupted: bool = False
    time: float = 0.0
    job_id: str | None = None

    def is_of(self, submission: Submission) -> bool:
        """Whether it is of this submission, not of an older one; without a job id the time decides."""
        return self.time >= submission.time if self.job_id is None else self.job_id == submission.job_id


class JobFiles(Struct, frozen=True, kw_only=True):
    """The files of one job. ``heartbeat`` is the Unix time of the last one, 0 when there was none.

    A result that does not count is no ``result``: ``damage`` names its fault, and ``fault`` says it in words.
    """

    result: ResultOrigin | None = None
    damage: Damage = ""
    fault: str = ""
    heartbeat: float = 0.0
    failure: LastFailure | None = None
    went_on: bool = False  # the heartbeat is newer than the failure: another attempt has begun since
    reached: Reached = Reached()


def read_job_files(
    folder: StageFolder,
    fingerprint: str,
    newest: Submission | None = None,
    damaged_artefacts: Callable[[StageFolder, StageResult], list[str]] | None = None,
) -> JobFiles:
    """Read what a job left in its folder; what is missing or not whole yet counts as not there.

    A result of another fingerprint is of another plan. With ``damaged_artefacts`` its files are verified too, which
    reads them whole. ``newest`` is the job's newest submission: where the result is of another one, the job may be
    made anew, and the heartbeat that it has had since tells how far it is.
    """
    result, damage, fault = _verified(folder, fingerprint, damaged_artefacts)
    origin = None if result is None else _origin(result)
    if result is not None and origin is not None and _is_newest(origin, newest):
        return JobFiles(result=origin, reached=_reached_by_result(result))
    beats = read_progress(folder)
    failure, heartbeat = _failure(folder), _heartbeat(folder, beats)
    over = result is not None and (newest is None or heartbeat < newest.time)
    return JobFiles(
        result=origin,
        damage=damage,
        fault=fault,
        heartbeat=heartbeat,
        failure=failure,
        # The node's own clock against the node's own clock: the file server's may differ from both.
        went_on=failure is not None and beats is not None and beats.updated > failure.time,
        reached=_reached_by_result(result) if result is not None and over else _reached(folder, beats),
    )


def read_finished(folder: StageFolder, fingerprint: str, newest: Submission | None) -> JobFiles | None:
    """Return the files of a job whose result is of its newest submission: no scheduler need be asked about it."""
    result = read_result(folder)
    if result is None or result.fingerprint != fingerprint:
        return None
    origin = _origin(result)
    return JobFiles(result=origin, reached=_reached_by_result(result)) if _is_newest(origin, newest) else None


def _is_newest(result: ResultOrigin, newest: Submission | None) -> bool:
    """Whether a result is of the newest submission. Processes of this machine have no job id: their times decide."""
    if newest is None or result.job_id == newest.job_id:
        return True
    return result.job_id is None and newest.process is not None and result.finished >= newest.time


def _verified(
    folder: StageFolder, fingerprint: str, damaged_artefacts: Callable[[StageFolder, StageResult], list[str]] | None
) -> tuple[StageResult | None, Damage, str]:
    """Return the result, or None with the damage and the fault in words."""
    try:
        result = load_result(folder)
    except FileNotFoundError:
        return None, "", ""
    except DamagedResult as error:
        return None, "damaged", f"its result.json cannot be read: {error.reason}"
    found = result.fingerprint
    if found != fingerprint:
        both = f"fingerprint {found[:12]}, planned {fingerprint[:12]}"
        return None, "stale", f"its result is of another job ({both})"
    if damaged_artefacts is not None and (names := damaged_artefacts(folder, result)):
        return None, "damaged", f"missing or changed since it finished: {', '.join(names)}"
    return result, "", ""


def _origin(result: StageResult) -> ResultOrigin:
    return ResultOrigin(job_id=result.job.job_id, finished=result.finished)


def _failure(folder: StageFolder) -> LastFailure | None:
    found = read_failure(folder)
    if found is None:
        return None
    return LastFailure(
        message=found.reason, interrupted=found.error == "Interrupted", time=found.time, job_id=found.job_id
    )


def _reached_by_result(result: StageResult) -> Reached:
    """Return what result.json holds in the terms of a running job."""
    metric = result.metric or "accuracy"
    value = getattr(result.validation.best, metric, None) if result.validation else None
    return Reached(
        epoch=result.epochs,
        epochs=result.epochs,
        metric=None if value is None else f"val_{metric}",
        value=value,
        host=result.job.host,
        partition=result.job.partition,
        restarts=result.job.restarts or 0,
    )


def _reached(folder: StageFolder, beats: Progress | None) -> Reached:
    attempt = read_attempt(folder)
    where = Reached(host=attempt.host, restarts=attempt.restarts) if attempt else Reached()
    if beats is None:
        return where
    return structs.replace(
        where,
        epoch=beats.epoch,
        epochs=beats.epochs,
        metric=beats.metric.name if beats.metric else None,
        value=beats.metric.value if beats.metric else None,
        seconds_left=_seconds_left(beats),
        images_per_second=beats.images_per_second,
        host=beats.host or where.host,
    )


def _seconds_left(beats: Progress) -> float | None:
    """``epoch`` is the one under way, counted from 1, and ``step`` of ``steps`` of it are done."""
    if beats.seconds_per_epoch is None:
        return None
    part = beats.step / beats.steps if beats.step is not None and beats.steps else 0.0
    return max(0.0, (beats.epochs - (beats.epoch - 1) - part) * beats.seconds_per_epoch)


def _heartbeat(folder: StageFolder, beats: Progress | None) -> float:
    """Return the later of the node's clock and the file server's: either may be slow."""
    if beats is None:
        return 0.0
    try:
        written = folder.progress.stat().st_mtime
    except OSError:
        written = 0.0
    return max(beats.updated, written)
