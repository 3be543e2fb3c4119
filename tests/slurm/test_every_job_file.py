"""Every shipped job file runs to its end with ``--tiny``: all stages, on this machine, with nothing but the package."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.files import read_json
from kd.jobfile.load import load_pipeline
from kd.report.collect import UNMEASURED
from kd.report.command import main as collect
from slurm.commands.submit import main as submit
from tests.conftest import REPOSITORY

JOB_FILES = sorted((REPOSITORY / "jobs").glob("*.yaml"))
LABS = ("cnn_pipeline", "vit_pipeline")  # run in one test, which merges their reports
MULTIMODAL = "multimodal_"  # have a file of their own: tests/slurm/test_multimodal_jobs.py
LOCAL = ("quantization_cifar10",)  # in processes of their own; all others in this one, which takes less time
ALONE = [path.stem for path in JOB_FILES if path.stem not in LABS and not path.stem.startswith(MULTIMODAL)]


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A folder for runs that goes after the test: ResNet-152 and its checkpoints take more than a gigabyte."""
    yield tmp_path / "results"
    shutil.rmtree(tmp_path / "results", ignore_errors=True)


def test_the_job_files_are_found() -> None:
    assert len(JOB_FILES) >= 12


@pytest.fixture
def few_objects() -> Iterator[None]:
    """Let every stage's collection of garbage look only at what is made from here on: it was a third of the time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("name", ALONE)
def test_a_job_file_runs_to_a_whole_report(name: str, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_tiny(name, results, monkeypatch)


@pytest.mark.usefixtures("few_objects")
def test_the_labs_two_pipelines_run_and_make_one_report(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run_tiny(name, results, monkeypatch) for name in LABS]
    assert collect([*map(str, runs), "-o", str(results / "report.json")]) == 0
    report = read_json(results / "report.json")
    assert list(report) == ["cnn", "vit"]
    for family in report.values():
        assert list(family)[:3] == ["teacher_accuracy", "student_accuracy_without_kd", "student_accuracy_with_kd"]
        assert all(0 <= family[key] <= 1 for key in list(family)[:3])
        assert family["missing"] == []


def run_tiny(name: str, results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a shipped job file and see that its report has every stage; return the run's folder."""
    monkeypatch.delenv("KD_DATA", raising=False)
    monkeypatch.setenv("KD_THREADS", "1")
    executor = "local" if name in LOCAL else "debug"
    words = ["--tiny", "--seeds", "42", "--executor", executor, "--results", str(results), "--run", name]
    assert submit([name, *words]) == 0
    (family,) = read_json(results / name / "report.json").values()
    assert family["missing"] == []
    stages = load_pipeline(name, tiny=True).stages.items()
    assert list(family["stages"]) == [name for name, stage in stages if stage.kind not in (*UNMEASURED, "report")]
    assert {(stage["n"], stage["planned"]) for stage in family["stages"].values()} == {(1, 1)}
    return results / name
