"""Learning curves of the finished jobs, read from their metrics.csv. Accuracies are fractions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from kd.rundir.folders import StageFolder
from kd.rundir.metrics_file import read_curve


class Band(NamedTuple):
    """A curve over seeds: per epoch the mean, the lowest and the highest seed."""

    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def read_band(folders: Iterable[Path], column: str) -> Band:
    """Return one column of metrics.csv over the finished seeds of a stage, which lie in ``folders``."""
    curves = [read_curve(StageFolder(folder).metrics, column) for folder in folders]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    values = [[curve[epoch] for curve in curves if epoch in curve] for epoch in epochs]
    return Band(epochs, [fmean(v) for v in values], [min(v) for v in values], [max(v) for v in values])
