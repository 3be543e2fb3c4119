"""Drawing where the model of a finished stage looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.drawing.feature_maps import main
from kd.errors import UserError


def test_the_first_images_of_a_finished_stage_are_drawn(
    spec, run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path / "it", spec("baseline"))
    capsys.readouterr()  # the epochs
    assert main([str(folder.path), "--layer", "stage1", "--images", "2", "--maps", "3"]) == 0
    paths = [folder.path / "feature_maps" / f"stage1-{number}.png" for number in range(2)]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    with pytest.raises(UserError, match="no layer 'stage9'"):
        main([str(folder.path), "--layer", "stage9"])
