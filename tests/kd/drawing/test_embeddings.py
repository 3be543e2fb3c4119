"""Drawing what the model of a finished stage makes of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.drawing.embeddings import main
from kd.errors import RunError


def test_a_finished_stage_is_drawn(spec, run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(tmp_path / "it", spec("baseline"))
    capsys.readouterr()  # the epochs
    assert main([str(folder.path), "--images", "20"]) == 0
    path = folder.path / "embeddings" / "tsne.png"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no stage that has trained a model"):
        main([str(tmp_path)])


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_number_of_images_below_one_is_refused(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), f"--images={number}"])
    assert ended.value.code == 2
    assert "expected a number of images, at least 1" in capsys.readouterr().err
