"""A data set is known by its bytes: not by its place, its age or files that tools leave behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kd.errors import DataError
from kd.jobfile.fingerprint import MOST_FILES_READ, SAMPLE_BYTES, SAMPLES, data_identity, deciding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small tree of images."""
    for name in ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "images"


def large_file(path: Path) -> Path:
    with open(path, "wb") as file:
        file.truncate(2 * SAMPLES * SAMPLE_BYTES)
    return path


def test_a_copy_is_the_same_data(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    os.utime(copy / "train/cat/1.png", (1, 1))
    (copy / ".DS_Store").write_text("left behind")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "x").write_text("left behind")
    assert data_identity(str(copy)) == data_identity(str(folder))


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_a_change_is_other_data(folder: Path, change: str) -> None:
    before = data_identity(str(folder))
    image = folder / "train/dog/2.png"
    if change == "content":
        image.write_text("train/dog/0.png")
    elif change == "name":
        image.rename(image.with_name("9.png"))
    elif change == "more":
        (folder / "train/dog/4.png").write_text("4")
    else:
        image.unlink()
    assert data_identity(str(folder)) != before


@pytest.mark.parametrize("offset", [0, -1])
def test_the_ends_of_a_large_file_count(tmp_path: Path, offset: int) -> None:
    path = large_file(tmp_path / "archive.tar.gz")
    before = data_identity(str(path))
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(b"x")
    assert data_identity(str(path)) != before


def test_the_size_of_a_large_file_counts(tmp_path: Path) -> None:
    path = large_file(tmp_path / "archive.tar")
    before = data_identity(str(path))
    os.truncate(path, path.stat().st_size + 1)
    assert data_identity(str(path)) != before


def test_every_name_of_a_large_folder_counts(tmp_path: Path) -> None:
    for index in range(3 * MOST_FILES_READ):
        (tmp_path / f"{index:04}.png").touch()
    before = data_identity(str(tmp_path))
    (tmp_path / "0001.png").rename(tmp_path / "0001b.png")
    assert data_identity(str(tmp_path)) != before


def test_what_is_not_there_is_known_by_its_path(tmp_path: Path) -> None:
    assert data_identity(None) == "none"
    assert data_identity(str(tmp_path / "a")) != data_identity(str(tmp_path / "b"))


def test_what_cannot_be_read_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "secret.png")

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(DataError, match=r"^secret\.png: Permission denied$"):
        data_identity(str(folder))


def test_what_lies_behind_a_linked_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/a.png").write_bytes(b"a")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train").symlink_to(tmp_path / "far")
    before = data_identity(str(tmp_path / "set"))
    (tmp_path / "far/a.png").write_bytes(b"b")
    assert data_identity(str(tmp_path / "set")) != before


def test_a_folder_that_cannot_be_read_to_its_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.raises(DataError, match="again: a link to a folder that holds it; remove the link"):
        data_identity(str(tmp_path))


def test_a_later_argument_of_a_loss_counts_only_where_it_changes_something() -> None:
    before = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0}}}}
    as_before = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0, "standardise": False}}}}
    changed = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0, "standardise": True}}}}
    assert deciding(as_before) == deciding(before) == before
    assert deciding(changed) == changed
    hints = {"loss": {"fitnet": {"weight": 1.0, "arguments": {"stages": None, "distance": "squared"}}}}
    assert deciding(hints) == {"loss": {"fitnet": {"weight": 1.0, "arguments": {"stages": None}}}}


def test_a_loss_that_has_changed_retrains_only_the_stages_that_use_it() -> None:
    review = {"loss": {"review": {"weight": 1.0, "arguments": {}}}}
    assert deciding(review) == {"loss": {"review": {"weight": 1.0, "arguments": {}, "version": 2}}}
