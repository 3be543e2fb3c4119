"""Every shipped job file runs to its end with ``--tiny``: all stages, in this process, with nothing but the package."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.files import read_json
from kd.report.collect import UNMEASURED
from kd.spec.load import load_job
from slurm.submit import main
from tests.conftest import REPOSITORY

JOB_FILES = sorted((REPOSITORY / "jobs").glob("*.yaml"))


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A folder for runs that goes after the test: ResNet-152 and its checkpoints take more than a gigabyte."""
    yield tmp_path / "results"
    shutil.rmtree(tmp_path / "results", ignore_errors=True)


def test_the_job_files_are_found() -> None:
    assert len(JOB_FILES) >= 5


@pytest.fixture
def few_objects() -> Iterator[None]:
    """Let every stage's collection of garbage look only at what is made from here on: it was a third of the time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.stem)
def test_a_job_file_runs_to_a_whole_report(path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KD_DATA", raising=False)
    monkeypatch.setenv("KD_THREADS", "1")
    words = ["--tiny", "--seeds", "42", "--executor", "debug", "--results", str(results), "--run", "tiny"]
    assert main([str(path), *words]) == 0
    (family,) = read_json(results / "tiny" / "report.json").values()
    assert family["missing"] == []
    stages = load_job(str(path), tiny=True).stages.items()
    assert list(family["stages"]) == [name for name, stage in stages if stage.kind not in (*UNMEASURED, "report")]
    assert {(stage["n"], stage["planned"]) for stage in family["stages"].values()} == {(1, 1)}
