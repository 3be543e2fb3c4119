"""The summary of one stage over its seeds: a plain value of report.json.

Its main numbers are accuracies (of several labels per image macro F1 scores: ``metric`` says which), fractions, on the
test set, of the weights chosen on validation; ``last_epoch`` holds those of the last epoch's weights. ``jobs`` holds
one record per finished seed, with the folder that every number came from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd.report.cells import Cell
from kd.report.labels import label_means
from kd.report.statistics import describe, finite, sampling_half_width

STAGED = ("seconds_in", "bytes_in", "seconds_out", "bytes_out")
ACCURACY = "accuracy"
METRICS = ("accuracy", "precision", "recall", "f1_score", "loss")


def summarise(cells: Sequence[Cell], base: Path) -> dict[str, Any]:
    """Summarise the cells of one stage. Folders are written relative to ``base``, where report.json lies."""
    jobs = {cell.seed: _job(cell, base) for cell in cells if cell.done}
    records = list(jobs.values())
    settings = next((found for cell in cells if (found := _mapping(cell.spec.get("settings")))), {})
    metric = next(iter(unique([job["metric"] for job in records])), ACCURACY)
    main = _sample(jobs, lambda job: job["test"]["best"][metric])
    several_labels = label_means([cell.result for cell in cells if cell.done and cell.result])
    test_images = agreed([job["data"].get("test") for job in records])
    return {
        "role": cells[0].role,
        "kind": cells[0].kind,
        "model": _model(settings, cells),
        "planned": len(cells),
        "metric": metric,
        **main,
        "last_epoch": _sample(jobs, lambda job: job["test"]["last"][metric]),
        "validation": _sample(jobs, lambda job: job["validation"]["best"][metric]),
        **({} if several_labels is None else {"several_labels": several_labels}),
        "test_images": test_images,
        "test_half_width": sampling_half_width(main["mean"], test_images) if metric == ACCURACY else None,
        "epochs": agreed([job["epochs"] for job in records]) or settings.get("epochs"),
        "parameters": next(iter(unique([job["parameters"] for job in records])), None),
        "trainable_parameters": next(iter(unique([job["trainable_parameters"] for job in records])), None),
        "seconds": _sample(jobs, lambda job: job["seconds"].get("total")),
        "images_per_second": _sample(jobs, lambda job: job["images_per_second"]),
        "device": unique([job["device"] for job in records]),
        "job_ids": {seed: job["job_id"] for seed, job in jobs.items() if job["job_id"]},
        "gpu_hours": gpu_hours(cells, records),
        "queue_seconds": _sample(jobs, lambda job: job["queue_seconds"]),
        "restarts": {seed: job["restarts"] for seed, job in jobs.items() if job["restarts"] is not None},
        "staging": _staging(records),
        "attempts": {seed: job["attempts"] for seed, job in jobs.items()},
        "teacher": _teacher(cells),
        "parents": {name: key.stage for name, key in cells[0].parents.items()},
        "settings": settings,
        "data": next((_without_root(cell) for cell in cells if cell.spec), {}),
        "split_digest": unique([job["data"].get("split_digest") for job in records]),
        "jobs": jobs,
    }


def _model(settings: Mapping[str, Any], cells: Sequence[Cell]) -> str | None:
    """Return the model of the spec; of a stage that takes another's (an export, a selection) those of its results."""
    saying = [settings, *(cell.result for cell in cells if cell.result)]
    names = unique([name for each in saying if (name := _mapping(each.get("model")).get("name"))])
    return ", ".join(map(str, names)) or None


def relative_folder(cell: Cell, base: Path) -> str:
    """Return a job's folder relative to ``base``."""
    return Path(os.path.relpath(cell.folder, base)).as_posix()


def _teacher(cells: Sequence[Cell]) -> str | None:
    """Return the one stage that teaches, or None; of a cache, once a student has finished, the stage it was made of."""
    named = [_mapping((cell.result or {}).get("teacher")).get("stage") for cell in cells]
    parents = [key.stage for cell in cells if (key := cell.parents.get("teacher"))]
    return next(iter([*unique(named), *parents]), None)


def unique(values: Sequence[Any]) -> list[Any]:
    """Return the distinct values, without None, in order of appearance."""
    return [value for index, value in enumerate(values) if value is not None and value not in values[:index]]


def agreed(values: Sequence[Any]) -> Any:
    """Return the one value that all jobs share, a list where they differ, None where none is known."""
    distinct = unique(values)
    return distinct[0] if len(distinct) == 1 else distinct or None


def _sample(jobs: dict[str, dict[str, Any]], value: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Describe one number over the finished jobs; ``n`` counts the jobs for which it is a finite number."""
    found = {seed: finite(value(job)) for seed, job in jobs.items()}
    values = {seed: number for seed, number in found.items() if number is not None}
    sample = describe(list(values.values()))
    interval = None if sample.ci95 is None else list(sample.ci95)
    return {"n": sample.n, "mean": sample.mean, "sd": sample.sd, "ci95": interval, "values": values}


def _job(cell: Cell, base: Path) -> dict[str, Any]:
    """Return the record of one finished job: what its result.json says, with every expected key present."""
    result = cell.result or {}
    facts = _mapping(result.get("job"))
    return {
        "run": cell.run.name,
        "folder": relative_folder(cell, base),
        "fingerprint": cell.fingerprint,
        "metric": result["metric"] if result.get("metric") in METRICS else ACCURACY,
        "test": _measured(result.get("test")),
        "validation": _measured(result.get("validation")),
        "configuration": result.get("configuration"),
        "selection": result.get("selection"),
        "best_epoch": result.get("best_epoch"),
        "epochs": result.get("epochs"),
        "parameters": result.get("parameters"),
        "trainable_parameters": result.get("trainable_parameters"),
        "seconds": {name: finite(value) for name, value in _mapping(result.get("seconds")).items()},
        "images_per_second": finite(result.get("images_per_second")),
        "device": result.get("device"),
        "precision": result.get("precision"),
        "torch": result.get("torch"),
        "data": _mapping(result.get("data")),
        "attempts": result.get("attempts"),
        "job_id": facts.get("job_id"),
        "host": facts.get("host"),
        "partition": facts.get("partition"),
        "restarts": facts.get("restarts"),
        "queue_seconds": _queue_seconds(facts),
        "staging": facts.get("staging"),
        "finished": finite(result.get("finished")),
    }


def _measured(value: object) -> dict[str, dict[str, float | None]]:
    both = _mapping(value)
    each = {which: _mapping(both.get(which)) for which in ("best", "last")}
    return {which: {name: finite(values.get(name)) for name in METRICS} for which, values in each.items()}


def gpu_hours(cells: Sequence[Cell], jobs: Sequence[dict[str, Any]]) -> float:
    """Return the hours that the finished jobs held GPUs for, over all their attempts."""
    gpus = next((_mapping(cell.spec.get("resources")).get("gpus") for cell in cells if cell.spec), 0)
    seconds = sum(job["seconds"].get("total") or 0.0 for job in jobs)
    return seconds * (finite(gpus) or 0.0) / 3600


def _queue_seconds(facts: dict[str, Any]) -> float | None:
    """Return how long a job waited to start; of a job that was restarted only its last start is known, so None."""
    submitted, started = finite(facts.get("submitted")), finite(facts.get("started"))
    return started - submitted if submitted and started and not facts.get("restarts") else None


def _staging(jobs: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """Return the seconds and bytes staged in and out, summed over the jobs that staged anything."""
    staged = [_mapping(job["staging"]) for job in jobs if job["staging"]]
    if not staged:
        return None
    return {name: sum(finite(facts.get(name)) or 0.0 for facts in staged) for name in STAGED}


def _without_root(cell: Cell) -> dict[str, Any]:
    return {name: value for name, value in _mapping(cell.spec.get("data")).items() if name != "root"}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
