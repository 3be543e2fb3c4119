"""A data set is known by its bytes: not by its place, its age or files that tools leave behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kd.errors import DataError
from kd.jobfile.data_content import FILES_SAMPLED, SAMPLE_BYTES, SAMPLES, data_content, data_identity


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


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is too large to be read whole."""
    monkeypatch.setattr("kd.jobfile.data_content.MOST_FILES_READ", FILES_SAMPLED)
    for index in range(3 * FILES_SAMPLED):
        (tmp_path / f"{index:04}.png").write_bytes(b"one")
    return tmp_path


@pytest.mark.parametrize("change", ["name", "size"])
def test_every_name_and_size_of_a_large_folder_counts(large: Path, change: str) -> None:
    before = data_content(str(large))
    assert not before.files
    image = large / "0001.png"
    assert image.name not in sorted(path.name for path in large.iterdir())[::3], "its content is not read"
    if change == "name":
        image.rename(image.with_name("0001b.png"))
    else:
        image.write_bytes(b"more")
    assert data_identity(str(large)) != before.identity


def test_every_byte_of_hundreds_of_photos_counts(folder: Path) -> None:
    for index in range(300):
        (folder / f"train/cat/photo{index}.png").write_bytes(b"one")
    before = data_content(str(folder))
    (folder / "train/cat/photo7.png").write_bytes(b"two")
    after = data_content(str(folder))
    assert before.identity != after.identity
    changed = {name for name in before.files if before.files[name] != after.files[name]}
    assert changed == {"train/cat/photo7.png"}


def test_a_folder_of_few_files_is_what_it_always_was(folder: Path) -> None:
    """Runs were planned by this digest, and must go on."""
    assert data_identity(str(folder)) == "55313e0d77e642a706b9c008b876e302d3439a3c18f15af8619ce9f9bf9952e4"


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
