"""aggregated_results.json: one per teacher, every number of it and of its students over the seeds.

The layout is that of the multimodal project: ``data["student"]["f1_macro"]["mean"]``. Reads result.json only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.report.report_stages import StageSummary
from kd.report.report_value import Family, Report
from kd.report.statistics import describe, finite
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import Cost, DeviceCost, Metrics
from kd.rundir.stage_result import StageResult, read_result

NAMES = {"f1_score": "f1"}  # the other metrics are called as in result.json
MACRO = ("precision", "recall", "f1_score", "average_precision")

Stages: TypeAlias = Mapping[str, StageSummary]  # summaries by name, in the plan's order, of stages that have results
Results: TypeAlias = Mapping[str, Mapping[str, StageResult]]  # by stage and seed


class Described(Struct, frozen=True, kw_only=True):
    """One number over the seeds, in the order of the seeds; ci95 is a 95 % t interval."""

    mean: float | None
    std: float | None
    min: float
    max: float
    values: list[float]
    n: int
    ci95: list[float] | None


class Aggregated(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of one aggregated_results.json: which stages it is of, and their numbers by metric."""

    architecture: str | None
    stages: dict[str, str]
    seeds: dict[str, list[str]]
    teacher: dict[str, Described] | None = None
    student: dict[str, Described] | None = None
    student_without_kd: dict[str, Described] | None = None
    student_pruned: dict[str, Described] | None = None
    student_quantized: dict[str, Described] | None = None


def write_aggregated(report: Report, base: Path, folder: Path) -> None:
    """Write ``<pipeline>/<teacher>/aggregated_results.json`` for every teacher of a report; that lies in ``base``."""
    for pipeline, family in report.items():
        for teacher, content in aggregate(family, base).items():
            write_json(folder / pipeline / teacher / "aggregated_results.json", msgspec.to_builtins(content))


def aggregate(family: Family, base: Path) -> dict[str, Aggregated]:
    """Return the content of aggregated_results.json by teacher stage. ``base`` is where report.json lies.

    ``teacher``, ``student``, ``student_without_kd``, ``student_pruned`` and ``student_quantized`` are there as far as
    they finished. Each has, by metric, mean, std, min, max, the values in the order of the seeds, and ci95 (a 95 % t
    interval). Operations, bytes and latency are those of a stage's file exported in float32, where there is one.
    """
    read = {name: _read(stage, base) for name, stage in family.stages.items()}
    results = {name: by_seed for name, by_seed in read.items() if by_seed}
    stages = {name: family.stages[name] for name in results}
    teachers = [name for name, stage in stages.items() if stage.role == "teacher"]
    return {teacher: _of_teacher(teacher, stages, results) for teacher in teachers}


def _read(stage: StageSummary, base: Path) -> dict[str, StageResult]:
    found = {seed: read_result(StageFolder(base / job.folder)) for seed, job in stage.jobs.items()}
    return {seed: result for seed, result in found.items() if result is not None}


def _of_teacher(teacher: str, stages: Stages, results: Results) -> Aggregated:
    """Return the entries of one teacher: itself, its first student, and what was made of that."""
    student = next((name for name in _of_role(stages, "distilled") if _teaches(teacher, stages[name])), None)
    pruned = (name for name in _of_role(stages, "pruned") if stages[name].parents.get("start") == student)
    chosen = {
        "teacher": teacher,
        "student": student,
        "student_without_kd": next(_of_role(stages, "baseline"), None),
        "student_pruned": next(pruned, None),
        "student_quantized": next(_files(student, stages, results, int8=True), None),
    }
    found = {key: name for key, name in chosen.items() if name is not None}
    return Aggregated(
        architecture=stages[teacher].model,
        stages=found,
        seeds={key: list(results[name]) for key, name in found.items()},
        **{key: _metrics(name, stages, results) for key, name in found.items()},
    )


def _of_role(stages: Stages, role: str) -> Iterator[str]:
    return (name for name, stage in stages.items() if stage.role == role)


def _teaches(teacher: str, student: StageSummary) -> bool:
    """Return whether a student learnt from a teacher, itself or by way of a cache."""
    return teacher in (student.parents.get("teacher"), student.teacher)


def _files(name: str | None, stages: Stages, results: Results, *, int8: bool) -> Iterator[str]:
    """Yield the stages that exported a stage's model, as int8 or in float32."""
    for other, stage in stages.items():
        precision = next(iter(results[other].values())).precision
        if name is not None and stage.parents.get("of") == name and (precision == "int8") == int8:
            yield other


def _metrics(name: str, stages: Stages, results: Results) -> dict[str, Described]:
    """Describe every number of a stage over its seeds, and those of its float32 file where it has one."""
    exported = results.get(next(_files(name, stages, results, int8=False), ""), {})
    per_seed = [
        {**_scores(result), **_costs(result), **(_costs(exported[seed]) if seed in exported else {})}
        for seed, result in results[name].items()
    ]
    names = dict.fromkeys(metric for numbers in per_seed for metric in numbers)
    return {metric: _described([numbers[metric] for numbers in per_seed if metric in numbers]) for metric in names}


def _described(values: list[float]) -> Described:
    sample = describe(values)
    return Described(
        mean=sample.mean,
        std=sample.sd,
        min=min(values),
        max=max(values),
        values=values,
        n=sample.n,
        ci95=None if sample.ci95 is None else list(sample.ci95),
    )


def _scores(result: StageResult) -> dict[str, float]:
    """Return the test metrics of the weights chosen on validation: the averages, and those of each label."""
    best = result.test.best if result.test else Metrics()
    averages = {f"{NAMES.get(key, key)}_macro" if key in MACRO else key: value for key, value in _numbers(best)}
    each = {
        f"{NAMES.get(key, key)}_{label}": value
        for label, scores in (best.labels or {}).items()
        for key, value in _numbers(scores)
    }
    return {**averages, **each}


def _costs(result: StageResult) -> dict[str, float]:
    """Return what a model costs, as far as its stage measured it."""
    total, trainable, cost = result.parameters, result.trainable_parameters, result.cost or Cost()
    return _known(
        {
            "parameters": total,
            "trainable_parameters": trainable,
            "frozen_parameters": None if total is None or trainable is None else total - trainable,
            "gflops": _scaled(cost.flops, 1e-9),
            "model_size_mb": _scaled(result.file.bytes if result.file else None, 1e-6),
            "inference_ms": _scaled(_median(cost.cpu), 1e3),
            "inference_ms_gpu": _scaled(_median(cost.gpu), 1e3),
            "training_seconds": result.seconds.train if result.seconds else None,
        }
    )


def _median(device: DeviceCost | None) -> float | None:
    return device.latency.median if device and device.latency else None


def _numbers(scores: Struct) -> Iterator[tuple[str, float]]:
    """Yield the names and values of all scores that are numbers."""
    for name in scores.__struct_fields__:
        if (number := finite(getattr(scores, name))) is not None:
            yield name, number


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}
