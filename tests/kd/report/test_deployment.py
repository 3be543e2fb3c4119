"""The deployment table: drops, ratios and speed-ups against the model that is replaced, in one runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd.report.collect import collect
from kd.report.report_stages import Deployment
from tests.kd.report.builder import RunBuilder, evidence, three_stages

ONNX = "ONNX Runtime, cpu: test, 2 threads"


def device(median: float, runtime: str = ONNX) -> dict[str, Any]:
    return {"runtime": runtime, "latency": {"median": median, "p95": median, "threads": 2, "rounds": 100}}


def rows(run: RunBuilder) -> dict[str, Deployment]:
    return {row.stage: row for row in collect([run.run.path], run.run.path)["cnn"].deployment}


def test_a_student_replaces_its_teacher(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2]).finish("teacher", {1: 0.9, 2: 0.92}, **evidence(0.9, speed=0.004))
    run.finish("distilled", {1: 0.87, 2: 0.89}, **evidence(0.88, speed=0.001))
    found = rows(run)
    assert found["teacher"].reference is found["teacher"].speed_up is None
    student = found["distilled"]
    assert (student.reference, student.speed_up_over) == ("teacher", "teacher")
    assert student.accuracy_drop == pytest.approx(0.03)
    assert student.compression == pytest.approx(4)
    assert student.speed_up == pytest.approx(4)
    assert student.runtime == "PyTorch float32, cpu: test, 2 threads"


def test_speeds_of_two_processors_are_not_compared(tmp_path: Path) -> None:
    other = evidence(0.9, speed=0.004)
    other["cost"]["cpu"]["runtime"] = "PyTorch float32, cpu: another, 8 threads"
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}, **other)
    run.finish("distilled", {1: 0.87}, **evidence(0.88))
    assert (rows(run)["distilled"].speed_up, rows(run)["distilled"].speed_up_over) == (None, None)


def test_an_int8_file_is_compared_with_its_float32_file_in_its_own_runtime(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("distilled", {1: 0.9}, **evidence(0.9, speed=0.002))
    run.stage("int8", None, [1], parents={"of": "distilled"}, kind="export")
    cost = {"cpu": device(0.001), "float32_file": device(0.003), "network": device(0.002, "PyTorch float32")}
    run.finish("int8", {1: 0.89}, **{**evidence(0.89), "cost": cost, "file": {"bytes": 100_000}}).write_plan()
    int8 = rows(run)["int8"]
    assert (int8.reference, int8.speed_up_over, int8.runtime) == ("distilled", "its float32 file", ONNX)
    assert int8.speed_up == pytest.approx(3)
    assert int8.latency_in_pytorch == pytest.approx(0.002)
    assert int8.compression == pytest.approx(4)
    assert int8.accuracy_drop == pytest.approx(0.01)


def test_older_results_leave_dashes(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}).finish("distilled", {1: 0.87})
    student = rows(run)["distilled"]
    assert (student.bytes, student.latency_median, student.speed_up, student.runtime) == (None,) * 4
    assert student.accuracy_drop == pytest.approx(0.03)
