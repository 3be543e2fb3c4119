"""docs/your_own.md is run as it stands: a network, a trained file, a loss, data and an augmentation of one's own."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

import kd
from kd.errors import RunError
from kd.files import read_json
from kd.rundir.folders import JobKey, RunFolder
from kd.user_code import sources
from slurm.commands.submit import main as submit
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "your_own.md"
FEWER = [word for part in ("train", "test") for word in ("--set", f"data.{part}_subset=350")]
FILE = re.compile(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, in the working folder."""
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, job_file: str, *further: str) -> RunFolder:
    """Run what the page runs, in one epoch and without its report, which takes longer than all the rest."""
    words = ["--executor", "debug", "--results", "results", "--only", "distilled", "--epochs", "1", *further]
    assert submit([job_file, *words]) == 0
    return RunFolder(folder / "results" / Path(job_file).stem)


def result(run: RunFolder, stage: str) -> dict:
    found: dict = read_json(run.stage(JobKey(stage, 1)).result)
    return found


def test_a_network_of_ones_own_learns_with_taps_and_is_opened_again(folder: Path) -> None:
    made = run(folder, "student.yaml", *FEWER)
    assert result(made, "distilled")["model"]["name"] == "my_nets:SmallNet"
    (folder / "my_nets.py").write_text("raise RuntimeError('edited since')\n")  # what was frozen is opened
    Image.new("L", (8, 8)).save(folder / "digit.png")
    (found,) = kd.predict(made.stage(JobKey("distilled", 1)).path, [folder / "digit.png"])
    assert len(found.probabilities) == 10

    made.path.chmod(0o777)
    with pytest.raises(RunError, match=r"runs the code of my_nets:SmallNet, from the run .*allow_code=True"):
        kd.load(made.stage(JobKey("distilled", 1)).path)
    assert kd.load(made.stage(JobKey("distilled", 1)).path, allow_code=True).classes == tuple("0123456789")


def test_a_trained_file_from_elsewhere_teaches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        runpy.run_path("elsewhere.py")
    del sys.modules["my_nets"]
    made = run(folder, "from_a_file.yaml", *FEWER)
    assert result(made, "teacher")["pretrained"]["file"] == str(folder / "trained.pth")
    assert result(made, "distilled")["teacher"]["stage"] == "teacher"


def test_a_loss_a_data_set_and_an_augmentation_of_ones_own(folder: Path) -> None:
    made = run(folder, "task.yaml")
    header = made.stage(JobKey("distilled", 1)).metrics.read_text().partition("\n")[0].split(",")
    assert {"loss_ce", "loss_my_task:soft_targets", "loss_my_task:Regress"} <= set(header)
    assert list(result(made, "distilled")["detail"]["classes"]) == ["disc", "ring"]
    assert {source.module for source in sources.bound().values()} == {"my_task"}
