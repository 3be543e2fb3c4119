"""kd-train: one process in a stage folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.rundir.claim import Claimant, claim_stage
from kd.rundir.folders import JobKey, RunFolder
from kd.train_command import main

JOB = """pipeline: one
data: {name: digits, train_subset: 100, validation: 40, test_subset: 40}
seeds: [1]
resources: {gpus: 0, cpus: 1}
stages:
  teacher:
    {kind: train, model: {name: convnet, width: 4}, epochs: 1, batch_size: 50, optimizer: {name: sgd, lr: 0.1}}
"""
STUDENT = """  student:
    {kind: distill, teacher: teacher, model: {name: convnet, width: 4}, epochs: 1, batch_size: 50,
     optimizer: {name: sgd, lr: 0.1}, loss: {ce: 0.5, kd: {weight: 0.5, temperature: 4}}}
"""


def test_a_second_process_in_a_stage_folder_gives_way_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(JOB)
    command = [str(file), "teacher", "--results", str(tmp_path / "results")]
    folder = RunFolder(tmp_path / "results" / "one").stage(JobKey("teacher", 1))
    folder.path.mkdir(parents=True)
    with claim_stage(folder, Claimant(), 1, None, print):
        assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{folder.path}: in use already: process " in said
    assert not folder.spec.exists(), "nothing was written there"
    assert main(command) == 0
    assert len(folder.metrics.read_text().splitlines()) == 2
    assert main(command) == 0
    assert "teacher/seed-1: done already" in capsys.readouterr().out


def test_a_run_with_links_is_not_written_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.yaml").write_text(JOB)
    (tmp_path / "mine").mkdir()
    stage = RunFolder(tmp_path / "results" / "one").stage(JobKey("teacher", 1)).path
    command = [str(tmp_path / "one.yaml"), "teacher", "--results", str(tmp_path / "results")]
    for link in (stage, stage / "checkpoint"):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "mine")
        assert main(command) == 2
        assert f"{link}: a link, which would be written through" in capsys.readouterr().err
        link.unlink()
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_parent_that_was_changed_teaches_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.yaml").write_text(JOB + STUDENT)
    command = [str(tmp_path / "one.yaml"), "student", "--results", str(tmp_path / "results")]
    assert main([command[0], "teacher", *command[2:]]) == 0
    best = RunFolder(tmp_path / "results" / "one").stage(JobKey("teacher", 1)).best
    best.write_bytes(best.read_bytes() + b"x")
    assert main(command) == 2
    line = "student/seed-1 needs teacher/seed-1, of which checkpoint/best.safetensors changed since it finished"
    assert line in capsys.readouterr().err
