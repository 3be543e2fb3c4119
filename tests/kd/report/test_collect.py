"""report.json: its shape, its numbers and what it says of what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev

import pytest

from kd.errors import RunError
from kd.files import write_json
from kd.report.collect import collect, is_complete
from kd.report.report_value import report_content
from kd.rundir.folders import JobKey
from tests.kd.report.builder import RunBuilder, collected, identity, three_stages

TEACHER = {1: 0.91, 2: 0.92, 3: 0.90}
BASELINE = {1: 0.84, 2: 0.85, 3: 0.83}
DISTILLED = {1: 0.87, 2: 0.86, 3: 0.86}


def finished(path: Path, *, pipeline: str = "cnn") -> RunBuilder:
    run = three_stages(path, [1, 2, 3], pipeline=pipeline)
    return run.finish("teacher", TEACHER).finish("baseline", BASELINE).finish("distilled", DISTILLED)


def test_the_three_numbers_come_first_and_are_means_over_seeds(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    report = collect([run.run.path], run.run.path)
    assert list(report) == ["cnn"]
    family = report_content(report)["cnn"]
    three = ["teacher_accuracy", "student_accuracy_without_kd", "student_accuracy_with_kd"]
    assert list(family)[:3] == three
    assert [family[key] for key in three] == pytest.approx([0.91, 0.84, fmean(DISTILLED.values())])
    assert family["seeds"] == [1, 2, 3]
    assert family["missing"] == []
    assert is_complete(report)


def test_a_stage_holds_its_values_spread_and_circumstances(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    stage = collected([run.run.path], run.run.path)["cnn"]["stages"]["distilled"]
    assert stage["values"] == {"1": 0.87, "2": 0.86, "3": 0.86}
    assert stage["sd"] == pytest.approx(stdev(DISTILLED.values()))
    assert stage["last_epoch"]["mean"] == pytest.approx(fmean(DISTILLED.values()) - 0.01)
    assert stage["validation"]["mean"] == pytest.approx(fmean(DISTILLED.values()) + 0.01)
    assert (stage["role"], stage["kind"], stage["model"]) == ("distilled", "distill", "resnet8")
    assert (stage["n"], stage["planned"], stage["epochs"], stage["parameters"]) == (3, 3, 3, 78042)
    assert stage["teacher"] == "teacher"
    assert stage["device"] == ["cpu: test"]
    assert stage["staging"] == {"seconds_in": 1.5, "bytes_in": 3000, "seconds_out": 0.75, "bytes_out": 600}
    assert stage["job_ids"] == {"1": "7_0", "2": "7_0", "3": "7_0"}
    assert stage["jobs"]["2"]["folder"] == "stages/distilled/seed-2"


def test_a_run_of_which_nothing_has_finished_reports_nulls_and_every_job(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2])
    report = collect([run.run.path], run.run.path)
    family = report_content(report)["cnn"]
    assert family["teacher_accuracy"] is None
    assert family["student_accuracy_with_kd"] is None
    assert len(family["missing"]) == 6
    assert family["stages"]["teacher"]["epochs"] == 3
    assert not is_complete(report)


def test_a_failed_seed_is_missing_with_its_descendants_and_the_others_count(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2]).fail("teacher", 1, "no data")
    run.finish("teacher", {2: 0.92}).finish("baseline", {1: 0.84, 2: 0.85}).finish("distilled", {2: 0.86})
    family = collected([run.run.path], run.run.path)["cnn"]
    assert family["teacher_accuracy"] == 0.92
    assert family["student_accuracy_with_kd"] == 0.86
    missing = {(m["stage"], m["seed"]): (m["state"], m["reason"]) for m in family["missing"]}
    assert missing == {
        ("teacher", 1): ("failed", "no data"),
        ("distilled", 1): ("waiting", "waits for teacher seed 1, which failed: no data"),
    }
    assert family["comparisons"][0]["seeds"] == ["2"]


def test_of_several_distilled_stages_the_first_gives_the_number(tmp_path: Path) -> None:
    run = finished(tmp_path / "run").stage("dkd", "distilled", [1], teacher="teacher").finish("dkd", {1: 0.99})
    family = collected([run.run.path], run.run.path)["cnn"]
    assert family["student_accuracy_with_kd"] == pytest.approx(fmean(DISTILLED.values()))
    assert family["stages"]["dkd"]["mean"] == 0.99
    assert [pair["stage"] for pair in family["comparisons"]] == ["distilled", "dkd"]


def test_two_pipelines_make_two_keys(tmp_path: Path) -> None:
    cnn, vit = finished(tmp_path / "a"), finished(tmp_path / "b", pipeline="vit")
    report = collected([cnn.run.path, vit.run.path], tmp_path)
    assert list(report) == ["cnn", "vit"]
    assert report["vit"]["stages"]["teacher"]["jobs"]["1"]["folder"] == "b/stages/teacher/seed-1"


def test_two_runs_of_one_pipeline_pool_their_seeds(tmp_path: Path) -> None:
    one = three_stages(tmp_path / "one", [1]).finish("teacher", {1: 0.9})
    two = three_stages(tmp_path / "two", [2]).finish("teacher", {2: 0.8})
    family = collected([one.run.path, two.run.path], tmp_path)["cnn"]
    assert family["teacher_accuracy"] == pytest.approx(0.85)
    assert family["seeds"] == [1, 2]
    assert [run["run"] for run in family["runs"]] == ["one", "two"]


def test_the_same_run_twice_is_one_run(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    assert collected([run.run.path] * 2, tmp_path) == collected([run.run.path], tmp_path)


def test_numbers_that_were_not_measured_are_left_out_of_the_means(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    result = run.folder("baseline", 1).result
    text = result.read_text().replace('"images_per_second": 9000.0', '"images_per_second": null')
    result.write_text(text.replace("0.84,", "null,"))
    family = collected([run.run.path], tmp_path)["cnn"]
    assert family["stages"]["baseline"]["values"] == {"2": 0.85, "3": 0.83}
    assert family["stages"]["baseline"]["images_per_second"]["n"] == 2


def test_a_result_that_is_no_json_is_named_with_its_place_and_the_report_stays_json(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    result = run.folder("baseline", 1).result
    result.write_text(result.read_text().replace('"loss": 0.5', '"loss": NaN'))
    family = collected([run.run.path], tmp_path)["cnn"]
    json.dumps(family, allow_nan=False)
    ((stage, state, reason),) = [(hole["stage"], hole["state"], hole["reason"]) for hole in family["missing"]]
    assert (stage, state) == ("baseline", "damaged")
    assert reason.startswith("its result.json cannot be read: JSON is malformed")


def test_a_result_without_a_measurement_is_still_reported(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("student", None, [1])
    write_json(run.folder("student", 1).result, identity(next(iter(run.jobs.values()))))
    family = collected([run.run.path], tmp_path)["cnn"]
    assert family["missing"] == []
    assert (family["stages"]["student"]["n"], family["stages"]["student"]["planned"]) == (0, 1)


def test_provenance_is_repeated_without_its_diff(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    write_json(run.run.provenance, {"commit": "abc", "uncommitted": "+" * 1000, "versions": {"torch": "2.13.0"}})
    found = collected([run.run.path], tmp_path)["cnn"]["runs"][0]
    assert found["provenance"]["commit"] == "abc"
    assert found["provenance"]["versions"] == {"torch": "2.13.0"}
    assert found["provenance"]["uncommitted"] == "1000 characters, in provenance.json"
    assert found["files"] == ["plan.json", "provenance.json"]


def test_no_such_run_is_a_persons_mistake(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        collected([tmp_path / "nowhere"], tmp_path)


def test_a_cache_is_no_measurement_and_its_teacher_is_the_students(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}).finish("baseline", {1: 0.8})
    run.stage("views", None, [1], teacher="teacher", kind="cache").stage("cached", "distilled", [1], teacher="views")
    write_json(run.folder("views", 1).result, identity(run.jobs[JobKey("views", 1)]))
    run.finish("cached", {1: 0.85}, teacher={"stage": "teacher", "seed": 1, "cache": {"stage": "views", "seed": 1}})
    family = collected([run.run.path], tmp_path)["cnn"]
    assert list(family["stages"]) == ["teacher", "baseline", "distilled", "cached"]
    assert family["stages"]["cached"]["teacher"] == "teacher"
    assert family["comparisons"][1]["gap_closed"] == pytest.approx(0.5)
    assert [hole["stage"] for hole in family["missing"]] == ["distilled"]


def test_a_cache_that_failed_is_named(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).stage("views", None, [1], teacher="teacher", kind="cache")
    run.fail("views", 1, "no data")
    missing = collected([run.run.path], tmp_path)["cnn"]["missing"]
    assert {"stage": "views", "state": "failed", "reason": "no data"}.items() <= missing[-1].items()


def test_a_stage_that_takes_another_s_model_is_told_by_its_results(tmp_path: Path) -> None:
    """An export names no model of its own; a selection may choose another one with each seed."""
    run = RunBuilder(tmp_path / "run").stage("chosen", "chain", (1, 2, 3), kind="select")
    run.finish("chosen", {1: 0.8, 2: 0.7}, model={"name": "resnet18", "arguments": {}}).finish(
        "chosen", {3: 0.6}, model={"name": "vgg8", "arguments": {}}
    )
    stage = collected([run.run.path], tmp_path)["cnn"]["stages"]["chosen"]
    assert stage["model"] == "resnet18, vgg8"


def test_runs_of_different_settings_stand_side_by_side_under_their_names(tmp_path: Path) -> None:
    one = three_stages(tmp_path / "scratch", [1]).finish("teacher", {1: 0.8}).finish("distilled", {1: 0.7})
    two = three_stages(tmp_path / "pretrained", [1], epochs=9).finish("teacher", {1: 0.9}).finish("distilled", {1: 0.8})
    two.stage("more", "other", [1])
    paths = [one.run.path, two.run.path]
    with pytest.raises(RunError, match=r"settings\.epochs.*collect them with --side-by-side$"):
        collect(paths, tmp_path)
    report = collect(paths, tmp_path, side_by_side=True)
    assert [(name, family.student_accuracy_with_kd) for name, family in report.items()] == [
        ("scratch", 0.7),
        ("pretrained", 0.8),
    ]
    assert report["scratch"].differs == []
    assert report["pretrained"].differs == [
        "teacher.epochs: 9, was 3", "baseline.epochs: 9, was 3", "distilled.epochs: 9, was 3", "has more",
    ]  # fmt: skip


def test_two_runs_of_one_name_cannot_stand_side_by_side(tmp_path: Path) -> None:
    runs = [three_stages(tmp_path / place / "run", [1]).run.path for place in ("a", "b")]
    with pytest.raises(RunError, match=r"^two runs are called 'run': .*; rename the folder of one$"):
        collect(runs, tmp_path, side_by_side=True)
