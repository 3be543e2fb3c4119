"""What lies on disk afterwards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.report.write import CSV_COLUMNS, collect_and_write
from kd.rundir.failure import Failure, write_failure
from tests.kd.report.builder import RunBuilder, three_stages


def written(path: Path) -> RunBuilder:
    run = three_stages(path, [1, 2]).finish("teacher", {1: 0.91, 2: 0.92}).fail("baseline", 1, 'broken, "badly"\nhere')
    collect_and_write([run.run.path], run.run.report_json)
    return run


def test_a_report_is_these_files_and_no_leftovers(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    names = sorted(str(file.relative_to(run.run.report)) for file in run.run.report.rglob("*") if file.is_file())
    figures = [f"figures/cnn_{name}.{kind}" for name in ("accuracy", "curves") for kind in ("png", "svg")]
    aggregated = "metrics/cnn/teacher/aggregated_results.json"
    assert names == [*figures, aggregated, "report.html", "report.md", "summary.csv", "tables.tex"]
    assert json.loads(run.run.report_json.read_text())["cnn"]["teacher_accuracy"] == 0.915


def test_the_csv_has_a_row_per_job_the_missing_ones_too(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    with (run.run.report / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 6
    teacher, baseline = rows[0], rows[2]
    assert (teacher["stage"], teacher["seed"], teacher["state"], teacher["role"]) == ("teacher", "1", "done", "teacher")
    accuracies = [float(teacher[name]) for name in ("test_accuracy", "test_accuracy_last_epoch", "validation_accuracy")]
    assert accuracies == [0.91, 0.91 - 0.01, 0.91 + 0.01]
    assert (float(teacher["seconds"]), teacher["job_id"], teacher["host"]) == (60.0, "7_0", "node1")
    assert (baseline["state"], baseline["reason"], baseline["test_accuracy"]) == ("failed", 'broken, "badly"', "")


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    before = {file: file.read_bytes() for file in run.run.report.rglob("*.*") if file.suffix != ".png"}
    collect_and_write([run.run.path], run.run.report_json)
    assert before == {file: file.read_bytes() for file in before}


def test_a_text_is_no_formula(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "trial", [1]).run
    failed = next(folder for folders in run.job_folders().values() for folder in folders)
    failed.result.unlink(missing_ok=True)
    write_failure(failed, Failure(error="X", message='=HYPERLINK("x","click")', time=1.0))
    collect_and_write([run.path], tmp_path / "report.json")
    with open(tmp_path / "report" / "summary.csv", newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert """'=HYPERLINK("x","click")""" in reasons


@pytest.mark.parametrize("part", ["report", "report/metrics/cnn", "report/figures/x.svg"])
def test_a_report_is_not_written_through_a_link(part: str, tmp_path: Path) -> None:
    run = three_stages(tmp_path / "trial", [1]).run
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="a link, through which the report would be written elsewhere"):
        collect_and_write([run.path], tmp_path / "report.json")
    assert list((tmp_path / "elsewhere").iterdir()) == []
