"""A folder is walked whole: behind links, without hidden files, and never in a circle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kd.data.folder_walk import walk
from kd.errors import DataError


def test_files_and_folders_are_found_behind_links_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/inner").mkdir(parents=True)
    (tmp_path / "elsewhere/inner/a.png").write_bytes(b"a")
    (tmp_path / "set/.kd").mkdir(parents=True)
    (tmp_path / "set/.kd/store").write_bytes(b"s")
    (tmp_path / "set/train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/also").symlink_to(tmp_path / "elsewhere/inner/a.png")
    found = {(entry.path, entry.is_folder) for entry in walk(tmp_path / "set")}
    assert found == {("train", True), ("train/inner", True), ("train/inner/a.png", False), ("also", False)}


def link_to_itself(folder: Path) -> None:
    (folder / "cow").symlink_to(folder)


def link_to_nothing(folder: Path) -> None:
    (folder / "cow").symlink_to(folder / "gone")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "cow")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (link_to_itself, "cow: a link to a folder that holds it; remove the link"),
        (link_to_nothing, "cow: a link to what is not there; remove it"),
        (pipe, "cow: no file but a pipe or a device; remove it"),
    ],
)
def test_what_cannot_be_read_to_its_end_is_named(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        list(walk(tmp_path))
