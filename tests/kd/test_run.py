"""Dispatch of a stage folder by its kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.run import run_stage
from kd.rundir.folders import StageFolder
from kd.stages.context import in_place


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "missing"), ("{", "damaged"), (json.dumps({"kind": "trian"}), "mean 'train'")],
)
def test_a_folder_that_cannot_be_run_is_refused_by_name(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "spec.json").write_text(content)
    with pytest.raises(RunError, match=words) as error:
        run_stage(in_place(StageFolder(tmp_path)))
    assert str(tmp_path / "spec.json") in str(error.value)
    assert not (tmp_path / "result.json").exists()
