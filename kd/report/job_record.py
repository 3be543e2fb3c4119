"""The record of one finished job in report.json, out of its result.json."""

from __future__ import annotations

import os
from pathlib import Path

from kd.report.cells import Cell
from kd.report.report_stages import JobRecord, JobScores, Scores
from kd.rundir.result_sections import BestAndLast, DataFacts, Metrics, Seconds
from kd.rundir.stage_result import StageResult

ACCURACY = "accuracy"
METRICS = ("accuracy", "precision", "recall", "f1_score", "loss")


def job_record(cell: Cell, result: StageResult, base: Path) -> JobRecord:
    """Return the record of one finished job."""
    return JobRecord(
        run=cell.run.name,
        folder=relative_folder(cell, base),
        fingerprint=cell.fingerprint,
        metric=result.metric if result.metric in METRICS else ACCURACY,
        test=_scores(result.test),
        validation=_scores(result.validation),
        configuration=result.configuration,
        selection=result.selection,
        best_epoch=result.best_epoch,
        epochs=result.epochs,
        parameters=result.parameters,
        trainable_parameters=result.trainable_parameters,
        seconds=result.seconds or Seconds(),
        images_per_second=result.images_per_second,
        device=result.device,
        precision=result.precision,
        torch=result.torch,
        data=result.data or DataFacts(),
        attempts=result.attempts,
        job_id=result.job.job_id,
        host=result.job.host,
        partition=result.job.partition,
        restarts=result.job.restarts,
        queue_seconds=result.job.queue_seconds,
        staging=result.job.staging,
        finished=result.finished,
        submitted=result.job.submitted,
        started=result.job.started,
        measured_in=result.measured_in,
        file_bytes=result.file.bytes if result.file else None,
        cost=result.cost,
        calibration_error=result.calibration.expected_error if result.calibration else None,
        negative_log_likelihood=result.calibration.negative_log_likelihood if result.calibration else None,
        same_as=None if cell.same_as is None else str(cell.same_as),
    )


def _scores(measured: BestAndLast | None) -> JobScores:
    both = measured or BestAndLast()
    return JobScores(best=_five(both.best), last=_five(both.last))


def _five(metrics: Metrics) -> Scores:
    return Scores(
        accuracy=metrics.accuracy,
        precision=metrics.precision,
        recall=metrics.recall,
        f1_score=metrics.f1_score,
        loss=metrics.loss,
    )


def relative_folder(cell: Cell, base: Path) -> str:
    """Return a job's folder relative to ``base``."""
    return Path(os.path.relpath(cell.folder, base)).as_posix()
