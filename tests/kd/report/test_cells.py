"""What became of a job, told from its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import RunError
from kd.report.cells import Cell, read_run, utc
from tests.kd.report.builder import RunBuilder, three_stages


def cells(builder: RunBuilder) -> dict[str, Cell]:
    return {f"{cell.key.stage} {cell.seed}": cell for cell in read_run(builder.run.path).cells}


def test_every_planned_job_but_the_report_is_a_cell(tmp_path: Path) -> None:
    found = cells(three_stages(tmp_path / "run", [1, 2]))
    names = [f"{stage} {seed}" for stage in ("teacher", "baseline", "distilled") for seed in (1, 2)]
    assert list(found) == names
    assert found["teacher 1"].state == "not started"
    assert found["distilled 1"].reason == "waits for teacher seed 1, which has not started"


def test_a_verified_result_is_done(tmp_path: Path) -> None:
    cell = cells(three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}))["teacher 1"]
    assert cell.done
    assert cell.result is not None
    assert cell.result.test_accuracy == 0.9


def test_a_failed_job_says_why_in_one_line(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).fail("teacher", 1, "digits: no such file\nTraceback …")
    found = cells(run)
    assert (found["teacher 1"].state, found["teacher 1"].reason) == ("failed", "digits: no such file")
    assert found["distilled 1"].state == "waiting"
    assert found["distilled 1"].reason == "waits for teacher seed 1, which failed: digits: no such file"


def test_a_grandchild_names_the_whole_chain(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).fail("teacher", 1, "no data")
    run.stage("smaller", "distilled", [1], teacher="distilled")
    reason = cells(run)["smaller 1"].reason
    assert reason == "waits for distilled seed 1, which waits for teacher seed 1, which failed: no data"


def test_a_job_that_runs_again_after_a_failure_is_unfinished(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).fail("teacher", 1, "preempted", time=100)
    cell = cells(run.run_until("teacher", 1, 2, updated=200))["teacher 1"]
    assert cell.state == "unfinished"
    assert cell.reason.startswith("runs again (epoch 2/3 on node1")
    assert cell.reason.endswith("after it failed: preempted")


def test_a_heartbeat_older_than_the_failure_does_not_hide_it(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).run_until("teacher", 1, 2, updated=50)
    assert cells(run.fail("teacher", 1, "killed", time=100))["teacher 1"].state == "failed"


def test_an_unfinished_job_says_how_far_it_came(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).run_until("teacher", 1, 2, updated=1_795_181_042)
    found = cells(run)
    assert found["teacher 1"].reason == "epoch 2/3 on node1, last heartbeat 2026-11-20 13:24 UTC"
    assert found["distilled 1"].reason.startswith("waits for teacher seed 1, which has not finished: epoch 2/3")


def test_a_changed_artefact_makes_a_result_worthless(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9})
    (run.folder("teacher", 1).checkpoint / "best.safetensors").write_bytes(b"other")
    cell = cells(run)["teacher 1"]
    assert (cell.state, cell.result) == ("damaged", None)
    assert "checkpoint/best.safetensors" in cell.reason


def test_half_a_result_file_is_damage_not_absence(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1])
    run.folder("teacher", 1).result.write_text('{"test": {"best"')
    cell = cells(run)["teacher 1"]
    assert (cell.state, cell.reason[:36]) == ("damaged", "its result.json cannot be read: Inpu")


def test_a_result_of_another_job_is_stale(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}, fingerprint="f" * 32)
    cell = cells(run)["teacher 1"]
    assert cell.state == "stale"
    assert "ffffffffffff" in cell.reason


def test_a_stage_without_seeds_has_one_cell(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("teacher", "teacher", [None]).finish("teacher", {None: 0.9})
    cell = cells(run)["teacher single"]
    assert cell.done
    assert cell.folder == run.run.stages / "teacher" / "single"


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no plan\.json"):
        read_run(tmp_path)


def test_a_plan_of_another_format_is_refused(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).write_plan(format=99)
    with pytest.raises(RunError, match=r"plan.json: another version of kd wrote it \(format 99; this one reads 1\)"):
        read_run(run.run.path)


@pytest.mark.parametrize("seconds", [1e300, -1e18, float("inf")])
def test_a_time_of_no_calendar_is_shown_as_a_number(seconds: float) -> None:
    assert utc(seconds) == f"{seconds:g} s"
