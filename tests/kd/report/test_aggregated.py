"""aggregated_results.json: the layout that scripts read, per teacher, and where its numbers come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd.report.write import collect_and_write
from tests.kd.report.builder import RunBuilder, three_stages


def scored(f1: float, **labels: float) -> dict[str, Any]:
    scores = {name: {"f1_score": value, "average_precision": None} for name, value in labels.items()}
    numbers = {"accuracy": 0.9, "f1_score": f1, "loss": 0.3, "hamming_loss": 0.1, "average_precision": 0.8}
    return {"test": {"best": {**numbers, "labels": scores}, "last": numbers}}


def exported(precision: str, *, size: int, seconds: float) -> dict[str, Any]:
    cost = {"flops": 2_000_000_000, "cpu": {"latency": {"median": seconds}}}
    return {"precision": precision, "cost": cost, "file": {"bytes": size}, **scored(0.7)}


def planned(path: Path) -> RunBuilder:
    run = three_stages(path, [1, 2], pipeline="fires")
    run.stage("pruned", "pruned", [1, 2], parents={"start": "distilled", "teacher": "teacher"})
    for name, of in (("teacher_file", "teacher"), ("file", "distilled"), ("int8", "distilled")):
        run.stage(name, name, [1, 2], parents={"of": of})
    return run


def aggregated(run: RunBuilder) -> dict[str, Any]:
    collect_and_write([run.run.path], run.run.report_json)
    path = run.run.report / "metrics" / "fires" / "teacher" / "aggregated_results.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_every_metric_has_mean_deviation_extremes_values_and_interval(tmp_path: Path) -> None:
    run = planned(tmp_path / "run")
    run.finish("teacher", {1: 0.9}, **scored(0.80, fire=0.7, smoke=0.9), trainable_parameters=70_000)
    run.finish("teacher", {2: 0.9}, **scored(0.90, fire=0.8, smoke=1.0), trainable_parameters=70_000)
    teacher = aggregated(run)["teacher"]
    f1 = teacher["f1_macro"]
    assert f1["mean"] == pytest.approx(0.85)
    assert (f1["min"], f1["max"], f1["values"], f1["n"]) == (0.80, 0.90, [0.80, 0.90], 2)
    assert f1["std"] == pytest.approx(0.0707, abs=1e-4)
    low, high = f1["ci95"]
    assert (low + high) / 2 == pytest.approx(0.85)
    assert high - low == pytest.approx(2 * 12.706 * 0.0707 / 2**0.5, rel=1e-3)
    assert teacher["f1_fire"]["values"] == [0.7, 0.8]
    assert teacher["average_precision_macro"]["mean"] == 0.8
    assert "average_precision_fire" not in teacher, "no number is made up for a label without a positive"
    assert teacher["hamming_loss"]["mean"] == 0.1
    assert (teacher["parameters"]["mean"], teacher["frozen_parameters"]["mean"]) == (78_042, 8_042)
    assert teacher["training_seconds"]["mean"] == 50.0


def test_student_pruned_and_quantized_are_found_by_what_they_were_made_of(tmp_path: Path) -> None:
    run = planned(tmp_path / "run")
    for name, f1 in (("teacher", 0.9), ("baseline", 0.6), ("distilled", 0.8), ("pruned", 0.75)):
        own = {"cost": {"flops": 1_000_000_000, "gpu": {"latency": {"median": 0.002}}}, "file": {"bytes": 7_000_000}}
        run.finish(name, {1: 0.9, 2: 0.9}, **scored(f1), **own)
    run.finish("teacher_file", {1: 0.9, 2: 0.9}, **exported("float32", size=9_000_000, seconds=0.05))
    run.finish("file", {1: 0.9, 2: 0.9}, **exported("float32", size=6_000_000, seconds=0.01))
    run.finish("int8", {1: 0.9, 2: 0.9}, **exported("int8", size=1_500_000, seconds=0.005))
    content = aggregated(run)
    assert content["stages"] == {
        "teacher": "teacher",
        "student": "distilled",
        "student_without_kd": "baseline",
        "student_pruned": "pruned",
        "student_quantized": "int8",
    }
    assert content["architecture"] == "resnet18"
    assert content["seeds"]["student"] == ["1", "2"]
    means = {key: content[key]["f1_macro"]["mean"] for key in content["stages"]}
    assert means == pytest.approx(
        {"teacher": 0.9, "student": 0.8, "student_without_kd": 0.6, "student_pruned": 0.75, "student_quantized": 0.7}
    )
    costs = {
        key: {name: content[key][name]["mean"] for name in ("model_size_mb", "gflops")} for key in content["stages"]
    }
    assert costs["student_pruned"] == {"model_size_mb": 7.0, "gflops": 1.0}, "that of its weights: it has no file"
    assert costs["student"] == {"model_size_mb": 6.0, "gflops": 2.0}, "that of its file"
    assert costs["student_quantized"] == {"model_size_mb": 1.5, "gflops": 2.0}
    assert content["student"]["inference_ms"]["mean"] == 10.0
    assert content["student"]["inference_ms_gpu"]["mean"] == 2.0
    assert "inference_ms" not in content["student_pruned"], "it was timed on a GPU only"


def test_each_teacher_has_its_own_students(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run", pipeline="fires")
    for teacher, f1 in (("resnet152", 0.7), ("swin_t", 0.8)):
        run.stage(teacher, "teacher", [1]).finish(teacher, {1: 0.9}, **scored(f1))
        student = f"student_of_{teacher}"
        run.stage(student, "distilled", [1], teacher=teacher).finish(student, {1: 0.9}, **scored(f1 - 0.1))
    run.stage("late", "teacher", [1])
    collect_and_write([run.run.path], run.run.report_json)
    folder = run.run.report / "metrics" / "fires"
    read = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/aggregated_results.json")}
    found = {name: content["student"]["f1_macro"]["mean"] for name, content in read.items()}
    assert found == pytest.approx({"resnet152": 0.6, "swin_t": 0.7})
    assert read["swin_t"]["teacher"]["f1_macro"]["ci95"] is None, "one seed has no interval"


@pytest.mark.parametrize("sparse", [{"test": None}, {"test": {"best": {}}}, {"cost": {"cpu": {}}, "file": {}}])
def test_a_result_with_few_measurements_gives_the_numbers_that_it_has(tmp_path: Path, sparse: dict[str, Any]) -> None:
    run = planned(tmp_path / "run").finish("teacher", {1: 0.9, 2: 0.9}, **sparse)
    assert aggregated(run)["teacher"]["parameters"]["mean"] == 78_042
