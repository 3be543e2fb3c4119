"""Files: a write that fails leaves what was there, and one that ends is on the disk."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kd.files import (
    append_line,
    atomic_path,
    deny_others_to_write,
    staying,
    write_json,
    write_text,
)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: the write that reaches it is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_atomic_write_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ha")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


class DiskOrder:
    """Notes what reaches the disk, in order: ``flush NAME`` for an fsync, ``rename NAME``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        fsync, replace = os.fsync, os.replace

        def note_fsync(handle: int) -> None:
            self.steps.append(f"flush {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
            fsync(handle)

        def note_replace(source: Path, target: Path) -> None:
            self.steps.append(f"rename {Path(source).name}")
            replace(source, target)

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(os, "replace", note_replace)


def test_an_atomic_write_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskOrder(monkeypatch)
    write_json(tmp_path / "result.json", {"accuracy": 0.9})
    content, renamed, folder = disk.steps
    part = content.removeprefix("flush ")
    assert part.startswith(".result.json.")
    assert (content, renamed, folder) == (f"flush {part}", f"rename {part}", f"flush {tmp_path.name}")


def test_a_write_to_scratch_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskOrder(monkeypatch)
    with atomic_path(tmp_path / "copy", durable=False) as temporary:
        temporary.write_text("x")
    assert [step.split()[0] for step in disk.steps] == ["rename"]


def test_a_line_is_on_the_disk_when_it_counts_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskOrder(monkeypatch)
    append_line(tmp_path / "journal.jsonl", "a line")
    assert disk.steps == ["flush journal.jsonl"]


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077])
def test_others_cannot_write_to_what_is_made_from_then_on(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        deny_others_to_write()
        (tmp_path / "folder").mkdir()
        write_json(tmp_path / "folder" / "file.json", {})
    finally:
        os.umask(before)
    for path in (tmp_path / "folder", tmp_path / "folder" / "file.json"):
        assert path.stat().st_mode & 0o022 == 0
        assert path.stat().st_mode & 0o044 == 0o044 & ~mask, "what the shell allowed others to read stays so"


def test_a_folder_that_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    job = tmp_path / "results" / "run" / "teacher"
    job.mkdir(parents=True)
    with staying(job):
        write_text(job / "log" / "a.txt", "x")
        (tmp_path / "results").rename(tmp_path / "moved")
        for write in (lambda: write_text(job / "b.txt", "x"), lambda: append_line(job / "c" / "d.txt", "x")):
            with pytest.raises(FileNotFoundError, match="moved or deleted"):
                write()
        write_text(tmp_path / "elsewhere" / "e.txt", "x")
    assert not (tmp_path / "results").exists()
    write_text(job / "b.txt", "x")
