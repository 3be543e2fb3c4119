"""A result names files of its own folder only."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.files import sha256_file, write_json
from kd.rundir.artefacts import damaged_files, is_own_file, is_result
from kd.rundir.folders import StageFolder

DIGEST = "0" * 64


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "..", ".", "", "a/./b", "a/..", "a\\b", "a\n", "a\x1b[2J", 1]
)
def test_a_result_that_names_anything_else_is_no_result(name: object, tmp_path: Path) -> None:
    assert not is_result({"fingerprint": "f", "files": {name: DIGEST}})
    write_json(tmp_path / "result.json", {"fingerprint": "f", "files": {str(name) if name == 1 else name: "short"}})
    assert StageFolder(tmp_path).read_result() is None


def test_files_of_the_folder_are_accepted() -> None:
    assert is_result({"fingerprint": "f", "files": {"metrics.csv": DIGEST, "checkpoint/best.safetensors": DIGEST}})
    assert not is_result({"fingerprint": "f", "files": [1]})
    assert not is_result({"fingerprint": "f", "files": {"a": "0" * 63}})


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
