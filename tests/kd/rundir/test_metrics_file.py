"""metrics.csv: rows written, cut back and read as curves."""

from __future__ import annotations

from pathlib import Path

from kd.rundir.metrics_file import MetricsFile

ROWS = [{"epoch": 1, "train_loss": 2.25}, {"epoch": 2, "train_loss": 1.0 / 3}]


def test_rows_append_under_one_header(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    for row in ROWS:
        file.append(row)
    assert file.path.read_text() == "epoch,train_loss\n1,2.25\n2,0.33333333\n"


def test_rewriting_cuts_the_file_back_and_appending_goes_on(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    file.path.write_text("epoch,train_loss\n1,2.25\n2,9\n3,9\nhalf a li")
    file.rewrite(ROWS[:1])
    file.append(ROWS[1])
    assert file.path.read_text() == "epoch,train_loss\n1,2.25\n2,0.33333333\n"
    file.rewrite([])
    file.append(ROWS[0])
    assert file.path.read_text() == "epoch,train_loss\n1,2.25\n"
