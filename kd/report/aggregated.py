"""aggregated_results.json: one per teacher, every number of it and of its students over the seeds.

The layout is that of the multimodal project: ``data["student"]["f1_macro"]["mean"]``. Reads result.json only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kd.files import write_json
from kd.report.statistics import describe, finite
from kd.rundir.folders import read_object

NAMES = {"f1_score": "f1"}  # the other metrics are called as in result.json
MACRO = ("precision", "recall", "f1_score", "average_precision")

Stages = Mapping[str, Mapping[str, Any]]  # summaries by name, in the plan's order, of stages that have results
Results = Mapping[str, Mapping[str, dict[str, Any]]]  # by stage and seed


def write_aggregated(report: Mapping[str, Any], base: Path, folder: Path) -> None:
    """Write ``<pipeline>/<teacher>/aggregated_results.json`` for every teacher of a report; that lies in ``base``."""
    for pipeline, family in report.items():
        for teacher, content in aggregate(family, base).items():
            write_json(folder / pipeline / teacher / "aggregated_results.json", content)


def aggregate(family: Mapping[str, Any], base: Path) -> dict[str, dict[str, Any]]:
    """Return the content of aggregated_results.json by teacher stage. ``base`` is where report.json lies.

    ``teacher``, ``student``, ``student_without_kd``, ``student_pruned`` and ``student_quantized`` are there as far as
    they finished. Each has, by metric, mean, std, min, max, the values in the order of the seeds, and ci95 (a 95 % t
    interval). Operations, bytes and latency are those of a stage's file exported in float32, where there is one.
    """
    read = {name: _read(stage, base) for name, stage in family["stages"].items()}
    results = {name: by_seed for name, by_seed in read.items() if by_seed}
    stages = {name: family["stages"][name] for name in results}
    teachers = [name for name, stage in stages.items() if stage["role"] == "teacher"]
    return {teacher: _of_teacher(teacher, stages, results) for teacher in teachers}


def _read(stage: Mapping[str, Any], base: Path) -> dict[str, dict[str, Any]]:
    found = {seed: read_object(base / job["folder"] / "result.json") for seed, job in stage["jobs"].items()}
    return {seed: result for seed, result in found.items() if result is not None}


def _of_teacher(teacher: str, stages: Stages, results: Results) -> dict[str, Any]:
    """Return the entries of one teacher: itself, its first student, and what was made of that."""
    student = next((name for name in _of_role(stages, "distilled") if _teaches(teacher, stages[name])), None)
    pruned = (name for name in _of_role(stages, "pruned") if stages[name]["parents"].get("start") == student)
    chosen = {
        "teacher": teacher,
        "student": student,
        "student_without_kd": next(_of_role(stages, "baseline"), None),
        "student_pruned": next(pruned, None),
        "student_quantized": next(_files(student, stages, results, int8=True), None),
    }
    found = {key: name for key, name in chosen.items() if name is not None}
    return {
        "architecture": stages[teacher]["model"],
        "stages": found,
        "seeds": {key: list(results[name]) for key, name in found.items()},
        **{key: _metrics(name, stages, results) for key, name in found.items()},
    }


def _of_role(stages: Stages, role: str) -> Iterator[str]:
    return (name for name, stage in stages.items() if stage["role"] == role)


def _teaches(teacher: str, student: Mapping[str, Any]) -> bool:
    """Return whether a student learnt from a teacher, itself or by way of a cache."""
    return teacher in (student["parents"].get("teacher"), student["teacher"])


def _files(name: str | None, stages: Stages, results: Results, *, int8: bool) -> Iterator[str]:
    """Yield the stages that exported a stage's model, as int8 or in float32."""
    for other, stage in stages.items():
        precision = next(iter(results[other].values())).get("precision")
        if name is not None and stage["parents"].get("of") == name and (precision == "int8") == int8:
            yield other


def _metrics(name: str, stages: Stages, results: Results) -> dict[str, dict[str, Any]]:
    """Describe every number of a stage over its seeds, and those of its float32 file where it has one."""
    file = next(_files(name, stages, results, int8=False), None)
    per_seed = [
        {**_scores(result), **_costs(result), **_costs(results[file].get(seed, {}) if file else {})}
        for seed, result in results[name].items()
    ]
    names = dict.fromkeys(metric for numbers in per_seed for metric in numbers)
    return {metric: _described([numbers[metric] for numbers in per_seed if metric in numbers]) for metric in names}


def _described(values: list[float]) -> dict[str, Any]:
    sample = describe(values)
    interval = None if sample.ci95 is None else list(sample.ci95)
    extremes = {"min": min(values), "max": max(values)}
    return {"mean": sample.mean, "std": sample.sd, **extremes, "values": values, "n": sample.n, "ci95": interval}


def _scores(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the test metrics of the weights chosen on validation: the averages, and those of each label."""
    test, labels = _entries(result, "test", "best"), _entries(result, "test", "best", "labels")
    averages = {f"{NAMES.get(key, key)}_macro" if key in MACRO else key: value for key, value in test.items()}
    each = {
        f"{NAMES.get(key, key)}_{label}": value for label in labels for key, value in _entries(labels, label).items()
    }
    return _finite({**averages, **each})


def _costs(result: Mapping[str, Any]) -> dict[str, float]:
    """Return what a model costs, as far as its stage measured it."""
    parameters, trainable = finite(result.get("parameters")), finite(result.get("trainable_parameters"))
    latency = {place: _entries(result, "cost", place, "latency").get("median") for place in ("cpu", "gpu")}
    return _finite(
        {
            "parameters": parameters,
            "trainable_parameters": trainable,
            "frozen_parameters": None if parameters is None or trainable is None else parameters - trainable,
            "gflops": _scaled(_entries(result, "cost").get("flops"), 1e-9),
            "model_size_mb": _scaled(_entries(result, "file").get("bytes"), 1e-6),
            "inference_ms": _scaled(latency["cpu"], 1e3),
            "inference_ms_gpu": _scaled(latency["gpu"], 1e3),
            "training_seconds": _entries(result, "seconds").get("train"),
        }
    )


def _entries(value: object, *path: str) -> Mapping[str, object]:
    """Return the mapping at a path; an empty one where there is none, whoever wrote the file."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _scaled(value: object, factor: float) -> float | None:
    number = finite(value)
    return None if number is None else number * factor


def _finite(values: Mapping[str, object]) -> dict[str, float]:
    return {name: number for name, value in values.items() if (number := finite(value)) is not None}
