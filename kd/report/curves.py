"""Learning curves of the finished jobs, read from their metrics.csv. Accuracies are fractions."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

Curve = dict[int, float]  # epoch -> value


class Band(NamedTuple):
    """A curve over seeds: per epoch the mean, the lowest and the highest seed."""

    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def read_curve(metrics: Path, column: str) -> Curve:
    """Return one column of a metrics.csv by epoch, without rows that hold no finite number; {} if absent."""
    try:
        with metrics.open(newline="", encoding="utf-8") as file:
            rows = [(_number(row.get("epoch")), _number(row.get(column))) for row in csv.DictReader(file)]
    except OSError:
        return {}
    return {int(epoch): value for epoch, value in rows if epoch is not None and value is not None}


def read_band(stage: Mapping[str, Any], base: Path) -> Band:
    """Return the validation curve of a stage's metric over its finished seeds; ``base`` has report.json."""
    column = f"val_{stage['metric']}"
    curves = [read_curve(base / job["folder"] / "metrics.csv", column) for job in stage["jobs"].values()]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    values = [[curve[epoch] for curve in curves if epoch in curve] for epoch in epochs]
    return Band(epochs, [fmean(v) for v in values], [min(v) for v in values], [max(v) for v in values])


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None
