"""Learning curves out of metrics.csv."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.report.curves import read_band
from kd.rundir.metrics_file import read_curve
from tests.kd.report.builder import write_metrics


def test_a_band_holds_mean_lowest_and_highest_seed_of_each_epoch(tmp_path: Path) -> None:
    write_metrics(tmp_path / "one" / "metrics.csv", [0.1, 0.3, 0.5])
    write_metrics(tmp_path / "two" / "metrics.csv", [0.3, 0.5])
    band = read_band([tmp_path / name for name in ("one", "two", "absent")], "val_accuracy")
    assert band.epochs == [1, 2, 3]
    assert band.mean == pytest.approx([0.2, 0.4, 0.5])
    assert (band.low, band.high) == ([0.1, 0.3, 0.5], [0.3, 0.5, 0.5])


def test_rows_without_a_number_are_left_out(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("epoch,val_accuracy\n1,0.5\n2,nan\n3,\n4,0.7\n5")
    assert read_curve(metrics, "val_accuracy") == {1: 0.5, 4: 0.7}
    assert read_curve(metrics, "no_such_column") == {}


def test_no_file_is_no_curve(tmp_path: Path) -> None:
    assert read_curve(tmp_path / "metrics.csv", "val_accuracy") == {}
