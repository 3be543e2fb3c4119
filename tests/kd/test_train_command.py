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
