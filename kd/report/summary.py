"""The summary of one stage over its seeds: a value of report.json.

Its main numbers are accuracies (macro F1 scores where images have several labels; see ``metric``), fractions, on the
test set, of the weights chosen on validation; ``last_epoch`` holds those of the last epoch's weights. ``jobs`` holds
one record per finished seed, with the folder that every number came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from kd.report.cells import Cell
from kd.report.detail_means import calibration_means, class_means
from kd.report.job_record import ACCURACY, job_record
from kd.report.label_means import label_means
from kd.report.report_stages import JobRecord, SampleSummary, Settings, StageSummary, StagingTotals
from kd.report.statistics import describe, finite, sampling_half_width
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import TrainSettings

Value = TypeVar("Value")


def summarise_stage(cells: Sequence[Cell], base: Path, preparation: Mapping[str, float]) -> StageSummary:
    """Summarise the cells of one stage, and the ``preparation`` it stands on; ``base`` is where report.json lies."""
    results = [cell.result for cell in cells if cell.result]
    jobs = {cell.seed: job_record(cell, cell.result, base) for cell in cells if cell.result}
    records = list(jobs.values())
    metric = next((job.metric for job in records), ACCURACY)
    main = _sample(jobs, lambda job: job.test.best.of(metric), share=True)
    test_images = agreed([job.data.test for job in records])
    summary = StageSummary(
        role=cells[0].role,
        kind=cells[0].kind,
        model=_model(cells, results),
        planned=len(cells),
        metric=metric,
        **msgspec.structs.asdict(main),
        last_epoch=_sample(jobs, lambda job: job.test.last.of(metric), share=True),
        validation=_sample(jobs, lambda job: job.validation.best.of(metric), share=True),
        several_labels=label_means(results) or msgspec.UNSET,
        test_images=test_images,
        test_half_width=_half_width(main.mean, test_images) if metric == ACCURACY else None,
        epochs=agreed([job.epochs for job in records]) or _planned_epochs(cells),
        parameters=next(iter(unique([job.parameters for job in records])), None),
        trainable_parameters=next(iter(unique([job.trainable_parameters for job in records])), None),
        seconds=_sample(jobs, lambda job: job.seconds.total),
        images_per_second=_sample(jobs, lambda job: job.images_per_second),
        device=unique([job.device for job in records]),
        job_ids={seed: job.job_id for seed, job in jobs.items() if job.job_id},
        gpu_hours=gpu_hours(cells),
        queue_seconds=_sample(jobs, lambda job: job.queue_seconds),
        restarts={seed: job.restarts for seed, job in jobs.items() if job.restarts is not None},
        staging=_staging(records),
        attempts={seed: job.attempts for seed, job in jobs.items()},
        teacher=_teacher(cells),
        parents={name: key.stage for name, key in cells[0].parents.items()},
        settings=_settings(cells),
        data=_data(cells),
        split_digest=unique([job.data.split_digest for job in records]),
        jobs=jobs,
        preparation=dict(preparation),
    )
    return _with_evidence(summary, cells)


def _with_evidence(summary: StageSummary, cells: Sequence[Cell]) -> StageSummary:
    """Return a summary with what was measured beside its main metric."""
    jobs, results = summary.jobs, [cell.result for cell in cells if cell.result]
    return msgspec.structs.replace(
        summary,
        precision=_sample(jobs, lambda job: job.test.best.precision, share=True),
        recall=_sample(jobs, lambda job: job.test.best.recall, share=True),
        f1_score=_sample(jobs, lambda job: job.test.best.f1_score, share=True),
        classes=class_means(results),
        calibration=calibration_means(results),
        teacher_agreement=_teacher_agreement(cells),
    )


def _model(cells: Sequence[Cell], results: Sequence[StageResult]) -> str | None:
    """Return the model of the spec; of a stage that takes another's (an export, a selection) those of its results."""
    settings = [cell.spec.settings for cell in cells if cell.spec]
    planned = [each.model.name for each in settings if isinstance(each, TrainSettings)]
    return ", ".join(unique([*planned[:1], *(result.model.name for result in results if result.model)])) or None


def _planned_epochs(cells: Sequence[Cell]) -> int | None:
    settings = next((cell.spec.settings for cell in cells if cell.spec), None)
    return settings.epochs if isinstance(settings, TrainSettings) else None


def _settings(cells: Sequence[Cell]) -> Settings:
    """Return the settings as spec.json has them."""
    return next((msgspec.to_builtins(cell.spec.settings) for cell in cells if cell.spec), {})


def _data(cells: Sequence[Cell]) -> Settings:
    """Return the data settings as spec.json has them, without the place where the data lie."""
    found: Settings = next((msgspec.to_builtins(cell.spec.data) for cell in cells if cell.spec and cell.spec.data), {})
    return {name: value for name, value in found.items() if name != "root"}


def _teacher(cells: Sequence[Cell]) -> str | None:
    """Return the one stage that teaches, or None; of a cache, once a student has finished, the stage it was made of."""
    named = [cell.result.teacher.stage for cell in cells if cell.result and cell.result.teacher]
    parents = [key.stage for cell in cells if (key := cell.parents.get("teacher"))]
    return next(iter([*named, *parents]), None)


def _teacher_agreement(cells: Sequence[Cell]) -> dict[str, SampleSummary]:
    """Describe, by teacher, the share of validation images on which a student predicts its teacher's class."""
    found: dict[str, dict[str, float]] = {}
    for cell in cells:
        agreements = (cell.result.teacher_agreement if cell.result else None) or {}
        for teacher, agreement in agreements.items():
            found.setdefault(teacher, {})[cell.seed] = agreement.top1
    return {teacher: _described(values, share=True) for teacher, values in found.items()}


def unique(values: Sequence[Value | None]) -> list[Value]:
    """Return the distinct values, without None, in order of appearance."""
    return [value for index, value in enumerate(values) if value is not None and value not in values[:index]]


def agreed(values: Sequence[Value | None]) -> Value | list[Value] | None:
    """Return the one value that all jobs share, a list where they differ, None where none is known."""
    distinct = unique(values)
    return distinct[0] if len(distinct) == 1 else distinct or None


def _half_width(mean: float | None, images: int | list[int] | None) -> float | None:
    return None if isinstance(images, list) else sampling_half_width(mean, images)


def _sample(
    jobs: Mapping[str, JobRecord], value: Callable[[JobRecord], float | None], *, share: bool = False
) -> SampleSummary:
    """Describe one number over the finished jobs; ``n`` counts the jobs for which it is a finite number.

    ``share``: it is a fraction of images, so its interval ends at 0 and 1.
    """
    found = {seed: finite(value(job)) for seed, job in jobs.items()}
    return _described({seed: number for seed, number in found.items() if number is not None}, share=share)


def _described(values: dict[str, float], *, share: bool) -> SampleSummary:
    sample = describe(list(values.values()))
    interval = None if sample.ci95 is None else [min(max(end, 0.0), 1.0) if share else end for end in sample.ci95]
    return SampleSummary(n=sample.n, mean=sample.mean, sd=sample.sd, ci95=interval, values=values)


def gpu_hours(cells: Sequence[Cell]) -> float:
    """Return the hours that the finished jobs of a stage held GPUs for, over all their attempts.

    A job that is the same as another stage's held none of its own.
    """
    gpus = next((cell.spec.resources.gpus for cell in cells if cell.spec), 0)
    results = [cell.result for cell in cells if cell.result and cell.same_as is None and _held_gpus(cell.result)]
    return sum(result.seconds.total or 0.0 for result in results if result.seconds) * gpus / 3600


def _held_gpus(result: StageResult) -> bool:
    """Whether a job that asked for GPUs had them: a partition gives what is asked, elsewhere the device shows it."""
    return result.job.partition is not None or not (result.device or "").startswith("cpu")


def _staging(jobs: Sequence[JobRecord]) -> StagingTotals | None:
    """Return the seconds and bytes staged in and out, summed over the jobs that staged anything."""
    staged = [job.staging for job in jobs if job.staging]
    if not staged:
        return None
    return StagingTotals(
        seconds_in=sum(facts.seconds_in or 0.0 for facts in staged),
        bytes_in=sum(facts.bytes_in or 0 for facts in staged),
        seconds_out=sum(facts.seconds_out or 0.0 for facts in staged),
        bytes_out=sum(facts.bytes_out or 0 for facts in staged),
    )
