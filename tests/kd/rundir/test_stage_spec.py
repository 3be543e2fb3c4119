"""spec.json: read as a value of its kind, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd.errors import RunError
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import TrainSettings, read_spec, spec_from_json
from tests.kd.conftest import make_spec


def test_a_spec_is_read_as_a_value_and_written_with_the_same_content(tmp_path: Path) -> None:
    content = make_spec("student", kind="distill", ema={"decay": 0.99}, modalities=["rgb"])
    (tmp_path / "spec.json").write_text(json.dumps(content))
    spec = read_spec(StageFolder(tmp_path))
    assert isinstance(spec.settings, TrainSettings)
    assert (spec.settings.loss["kd"].weight, spec.settings.mixup, spec.parents["teacher"].stage) == (
        0.5,
        None,
        "teacher",
    )
    assert json.loads(json.dumps(spec.to_json())) == content


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "trian"}, "no stage kind 'trian' .did you mean 'train'"),
        ({"format": 2}, "its format is 2; this version reads 1"),
        ({"seed": "seven"}, r"Expected `int \| null`, got `str` - at `\$.seed`"),
        ({"settings": {}}, r"missing required field `model` - at `\$.settings`"),
    ],
)
def test_what_is_no_spec_is_refused_with_the_place_of_the_fault(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({**make_spec(), **changes}))
    with pytest.raises(RunError, match=words) as caught:
        read_spec(StageFolder(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'spec.json'}: damaged, or written by another version of kd")


def test_a_missing_spec_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"spec\.json: missing; submit the run again"):
        read_spec(StageFolder(tmp_path))


def test_off_options_are_absent_from_what_is_written() -> None:
    settings = spec_from_json(make_spec()).to_json()["settings"]
    assert {"mixup", "ema", "clip", "int8_aware", "schedule_epochs"}.isdisjoint(settings)
