"""The RGB+IR job files, tiny, on this machine: all four teachers, then each file takes over what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey
from tests.conftest import REPOSITORY
from tests.slurm.launching import Desk

TEACHERS = ("resnet152", "efficientnet_b7", "vit_b16", "swin_t")
TINY = ("--tiny", "--seeds", "42", "--executor", "local", "--jobs", "2")


def one_epoch(*stages: str) -> list[str]:
    """Return the options that make large networks train and write their checkpoints once instead of twice."""
    return [option for stage in stages for option in ("--set", f"stages.{stage}.epochs=1")]


def job_file(name: str) -> Path:
    return REPOSITORY / "jobs" / f"multimodal_{name}.yaml"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Where all four teachers have taught the student."""
    results = tmp_path_factory.mktemp("multimodal")
    desk = Desk(results=results, environment={"KD_DATA": str(results / "none")})
    desk.submit(*TINY, *one_epoch(*TEACHERS), job=job_file("all"))
    return desk


def test_four_teachers_are_compared_on_one_student(desk: Desk) -> None:
    run = desk.folder("multimodal_all-tiny")
    report = desk.report(run.name)
    assert report["missing"] == []
    assert [pair["stage"] for pair in report["comparisons"]] == [f"student_of_{name}" for name in TEACHERS]
    assert [pair["teacher"] for pair in report["comparisons"]] == list(TEACHERS)
    for name in TEACHERS:
        path = run.report / "metrics" / "multimodal_all" / name / "aggregated_results.json"
        data = json.loads(path.read_text())
        assert data["architecture"] == f"fused_{name}"
        assert data["stages"]["student"] == f"student_of_{name}"
        assert 0 <= data["teacher"]["f1_macro"]["mean"] <= 1
        assert data["teacher"]["parameters"]["mean"] > 10 * data["student"]["parameters"]["mean"]
        assert data["teacher"]["gflops"]["mean"] > data["student"]["gflops"]["mean"] > 0
    student = read_object(run.stage(JobKey("student_of_swin_t", 42)).result)
    assert student is not None
    assert student["data"]["modalities"] == ["rgb"]


@pytest.mark.parametrize("name", TEACHERS)
def test_the_file_of_one_teacher_takes_over_its_training_and_goes_on_to_int8(desk: Desk, name: str) -> None:
    said = desk.submit(*TINY, *one_epoch("teacher"), job=job_file(name))
    for stage in ("teacher", "baseline", "distilled"):
        assert f"{stage}/seed-42: taken from run multimodal_all-tiny, which finished it" in said
    report = desk.report(f"multimodal_{name}-tiny")
    assert report["missing"] == []
    assert report["stages"]["student_int8"]["n"] == 1
