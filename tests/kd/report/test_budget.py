"""What stages are said to have cost: everything trained before them and for them, no teacher, nothing twice."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from kd.report.budget import different_epochs, different_totals
from kd.report.cells import Cell
from kd.report.report_stages import StageSummary
from kd.report.summary import summarise_stage
from kd.rundir.folders import JobKey, RunFolder
from tests.kd.report.builder import RunBuilder, collected


def stage(epochs: int | list[int] | None, **preparation: float) -> StageSummary:
    """Return the summary of a stage that trained for so many epochs, after those of ``preparation``."""
    key = JobKey("student", None)
    cell = Cell(
        run=RunFolder(Path("run")), key=key, kind="train", role=None, fingerprint="f", parents={}, spec=None,
        result=None, state="not started", reason="",
    )  # fmt: skip
    return replace(summarise_stage([cell], Path(), preparation), epochs=epochs)


def test_a_stage_stands_on_its_parents_and_on_theirs_but_no_teacher_counts(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("teacher", "teacher", [1, 2], epochs=9)
    run.stage("assistant", "assistant", [1, 2], teacher="teacher", epochs=4)
    run.stage("student", "distilled", [1, 2], teacher="assistant")
    for seed in (1, 2):
        run.jobs[JobKey("student", seed)]["parents"]["start"] = {"stage": "assistant", "seed": seed}
    run.write_plan().finish("teacher", {1: 0.9, 2: 0.9}, epochs=9)
    run.finish("assistant", {1: 0.8}, epochs=4).finish("assistant", {2: 0.8}, epochs=6).finish("student", {1: 0.8})
    stages = collected([run.run.path], tmp_path)["cnn"]["stages"]
    assert stages["student"]["preparation"] == {"assistant": 5}, "the mean over the seeds, once"
    assert stages["assistant"]["preparation"] == stages["teacher"]["preparation"] == {}


def test_what_both_stand_on_is_nobodys_disadvantage() -> None:
    one, two = stage(3, shared=5, own=2), stage(5, shared=5)
    assert different_epochs(one, two) == []
    assert different_totals(one, two) == []


def test_totals_are_told_where_they_differ_too() -> None:
    one, two = stage(3, own=4), stage(5)
    assert different_epochs(one, two) == ["different epochs: 3 against 5 (7 against 5 in all)"]
    assert different_totals(stage(3, own=4), stage(3)) == ["with all that was trained for them, 7 epochs against 3"]


def test_epochs_that_are_not_one_number_are_compared_as_they_are() -> None:
    assert different_epochs(stage([3, 4]), stage(3)) == ["different epochs: [3, 4] against 3"]
    assert different_epochs(stage([3, 4]), stage([3, 4])) == []
    assert different_epochs(stage(None), stage(3)) == []
    assert different_totals(stage(None), stage(None, own=3)) == []
