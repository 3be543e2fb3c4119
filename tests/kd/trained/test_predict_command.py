"""kd-predict: classes and probabilities of image files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from kd.rundir.folders import JobKey, RunFolder
from kd.trained.predict_command import main


def test_each_image_gets_a_line_of_classes_with_probabilities(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number in range(2):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("L", (8, 8), 100 * number).save(paths[-1])
    folder = str(run.stage(JobKey("teacher", 1)).path)
    assert main([folder, *paths, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == paths
    assert all(line.count("%") == 2 for line in lines)
    assert main([folder, *paths, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)[paths[0]]["probabilities"]) == set("0123456789")


def test_a_missing_image_ends_in_one_line(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run.stage(JobKey("teacher", 1)).path), "/no/such.png"]) == 2
    assert capsys.readouterr().err == "/no/such.png: No such file or directory\n"
