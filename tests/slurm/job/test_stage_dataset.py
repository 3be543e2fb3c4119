"""The data set on scratch: archives and small folders are copied, everything else is read in place and said so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kd.files import sha256_file
from slurm.job.stage_dataset import MOST_FILES, StagedData, stage_data


@pytest.fixture
def scratch(folder: Path) -> Path:
    """An empty scratch folder."""
    (folder / "scratch").mkdir()
    return folder / "scratch"


def stage(root: Path, scratch: Path, reserve: int = 0) -> tuple[StagedData, list[str]]:
    warnings: list[str] = []
    return stage_data(root, scratch, reserve, warnings.append), warnings


def wait_for_digests(staged: StagedData, count: int) -> dict[str, str]:
    """Return the digests once the background thread has them all."""
    deadline = time.monotonic() + 30
    while len(staged.digests) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return staged.digests


def test_an_archive_is_copied_and_hashed(folder: Path, scratch: Path) -> None:
    archive = folder / "images.tar.gz"
    archive.write_bytes(os.urandom(3_000_000))
    staged, warnings = stage(archive, scratch)
    assert staged.root == scratch / "data" / "images.tar.gz"
    assert staged.root.read_bytes() == archive.read_bytes()
    assert staged.bytes == 3_000_000
    assert warnings == []
    assert wait_for_digests(staged, 1) == {"images.tar.gz": sha256_file(archive)}


def test_a_folder_of_a_few_files_keeps_its_layout(folder: Path, scratch: Path) -> None:
    root = folder / "mnist"
    names = ["MNIST/raw/train.gz", "MNIST/raw/test.gz", "read me"]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * 100)
    (root / "linked.gz").symlink_to(root / "MNIST" / "raw" / "test.gz")
    staged, warnings = stage(root, scratch)
    assert staged.root == scratch / "data" / "mnist"
    assert warnings == []
    for name in [*names, "linked.gz"]:
        assert (staged.root / name).read_bytes() == (root / name).read_bytes()
        assert not (staged.root / name).is_symlink()
    assert sorted(wait_for_digests(staged, 4)) == sorted([*names, "linked.gz"])


def test_many_small_files_are_read_in_place_and_the_fix_is_named(folder: Path, scratch: Path) -> None:
    root = folder / "images"
    root.mkdir()
    for number in range(MOST_FILES + 1):
        (root / f"{number}.png").touch()
    staged, warnings = stage(root, scratch)
    assert staged.root is None
    assert os.listdir(scratch) == []
    assert len(warnings) == 1
    assert "more than 1,000 files; pack it as one archive" in warnings[0]


def test_a_loop_of_links_ends(folder: Path, scratch: Path) -> None:
    root = folder / "loop"
    root.mkdir()
    (root / "file").touch()
    (root / "again").symlink_to(root)
    staged, warnings = stage(root, scratch)
    assert (staged.root is None) == bool(warnings)


def test_a_pipe_is_not_opened(folder: Path, scratch: Path) -> None:
    root = folder / "data"
    root.mkdir()
    os.mkfifo(root / "pipe")
    staged, warnings = stage(root, scratch)
    assert staged.root is None
    assert "no regular file" in warnings[0]


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_what_cannot_be_staged_is_left_to_its_reader(folder: Path, scratch: Path, kind: str) -> None:
    root = folder / kind
    if kind == "empty":
        root.mkdir()
    staged, warnings = stage(root, scratch)
    assert staged.root is None
    assert f"data set {root} is read in place" in warnings[0]


def test_too_little_space_is_seen_before_copying(folder: Path, small_disk: Path) -> None:
    archive = folder / "images.tar.gz"
    archive.write_bytes(bytes(600 << 10))
    staged, warnings = stage(archive, small_disk, reserve=600 << 10)
    assert staged.root is None
    assert os.listdir(small_disk) == []
    assert f"{1200 << 10:,} bytes are needed" in warnings[0]


def test_a_disk_that_fills_up_while_copying_is_cleaned(
    folder: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = folder / "images.tar.gz"
    archive.write_bytes(bytes(2 << 20))
    monkeypatch.setattr("slurm.job.stage_dataset.free_bytes", lambda folder: 1 << 40)  # somebody else was quicker
    staged, warnings = stage(archive, small_disk)
    assert staged.root is None
    assert os.listdir(small_disk) == []
    assert "No space left on device" in warnings[0]
