"""A result names files of its own folder only."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.files import sha256_file, write_json
from kd.rundir.artefacts import damaged_files, is_own_file
from kd.rundir.folders import StageFolder
from kd.rundir.stage_result import read_result

DIGEST = "0" * 64


def with_files(folder: Path, files: object) -> StageFolder:
    """Return a folder whose result.json is whole but for the files that it names."""
    content = {
        "format": 1, "stage": "student", "seed": None, "kind": "train", "role": None, "pipeline": "cnn",
        "fingerprint": "f", "parents": {}, "files": files, "job": {}, "finished": 2000.0,
    }  # fmt: skip
    write_json(folder / "result.json", content)
    return StageFolder(folder)


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "..", ".", "", "a/./b", "a/..", "a\\b", "a\n", "a\x1b[2J"]
)
def test_a_result_that_names_anything_else_is_no_result(name: str, tmp_path: Path) -> None:
    assert read_result(with_files(tmp_path, {name: DIGEST})) is None


def test_files_of_the_folder_are_accepted(tmp_path: Path) -> None:
    result = read_result(with_files(tmp_path, {"metrics.csv": DIGEST, "checkpoint/best.safetensors": DIGEST}))
    assert result is not None
    assert list(result.files) == ["metrics.csv", "checkpoint/best.safetensors"]
    assert read_result(with_files(tmp_path, [1])) is None
    assert read_result(with_files(tmp_path, {"a": "0" * 63})) is None


def test_a_file_behind_a_link_is_not_the_folders_own(tmp_path: Path) -> None:
    stage, elsewhere = tmp_path / "stage", tmp_path / "elsewhere"
    for folder in (stage, elsewhere):
        folder.mkdir()
        (folder / "file").write_text("content")
    (stage / "link").symlink_to("file")
    (stage / "d").symlink_to(elsewhere)
    digest = sha256_file(stage / "file")
    names = dict.fromkeys(("file", "link", "d/file", "d/../stage/file"), digest)
    assert damaged_files(stage, names, sha256_file) == ["link", "d/file", "d/../stage/file"]


def test_a_file_of_holes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "weights", "wb") as file:
        file.truncate(2 << 40)
    assert not is_own_file(tmp_path, "weights")
