"""Publishing: only what changed, whole or not at all, and words when the disk is full."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from kd.errors import RunError
from slurm.job.publish import Publisher, free_bytes, hit_full_disk, is_full


@pytest.fixture
def work(folder: Path) -> Path:
    """A work folder with one checkpoint."""
    (folder / "work" / "checkpoint").mkdir(parents=True)
    (folder / "work" / "checkpoint" / "resume.pt").write_bytes(b"one")
    (folder / "durable").mkdir()
    return folder / "work"


def replace(path: Path, content: bytes) -> None:
    """Write as the training does: a new file, renamed into place."""
    new = path.with_name("new")
    new.write_bytes(content)
    new.replace(path)


def test_files_arrive_with_their_digests(work: Path) -> None:
    durable = work.parent / "durable"
    publisher = Publisher(work, durable)
    digests = publisher.publish(["checkpoint/resume.pt"])
    assert digests == {"checkpoint/resume.pt": hashlib.sha256(b"one").hexdigest()}
    assert (durable / "checkpoint" / "resume.pt").read_bytes() == b"one"
    assert publisher.bytes == 3


def test_unchanged_files_are_not_copied_again(work: Path) -> None:
    durable = work.parent / "durable"
    publisher = Publisher(work, durable)
    first = publisher.publish(["checkpoint/resume.pt"])
    inode = (durable / "checkpoint" / "resume.pt").stat().st_ino
    assert publisher.publish(["checkpoint/resume.pt"]) == first
    assert (durable / "checkpoint" / "resume.pt").stat().st_ino == inode
    replace(work / "checkpoint" / "resume.pt", b"two")
    assert publisher.publish(["checkpoint/resume.pt"]) != first
    assert (durable / "checkpoint" / "resume.pt").read_bytes() == b"two"


def test_a_durable_copy_that_vanished_is_written_again(work: Path) -> None:
    durable = work.parent / "durable"
    publisher = Publisher(work, durable)
    publisher.publish(["checkpoint/resume.pt"])
    (durable / "checkpoint" / "resume.pt").unlink()
    publisher.publish(["checkpoint/resume.pt"])
    assert (durable / "checkpoint" / "resume.pt").read_bytes() == b"one"


def test_a_renamed_generation_moves_no_bytes(work: Path) -> None:
    durable, names = work.parent / "durable", ["checkpoint/resume.previous.pt", "checkpoint/resume.pt"]
    publisher = Publisher(work, durable)
    publisher.publish(names[1:])
    for content, before in ((b"second", b"one"), (b"third one", b"second")):
        (work / names[1]).replace(work / names[0])
        (work / names[1]).write_bytes(content)
        copied = publisher.bytes
        publisher.publish(names)
        assert publisher.bytes - copied == len(content)
        assert ((durable / names[0]).read_bytes(), (durable / names[1]).read_bytes()) == (before, content)


def test_in_place_files_are_only_hashed(work: Path) -> None:
    publisher = Publisher(work, work)
    inode = (work / "checkpoint" / "resume.pt").stat().st_ino
    assert publisher.publish(["checkpoint/resume.pt"]) == {"checkpoint/resume.pt": hashlib.sha256(b"one").hexdigest()}
    assert (work / "checkpoint" / "resume.pt").stat().st_ino == inode
    assert publisher.bytes == 0


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "checkpoint/../../outside"])
def test_names_outside_the_work_folder_are_a_bug(work: Path, name: str) -> None:
    with pytest.raises(AssertionError):
        Publisher(work, work.parent / "durable").publish([name])


def test_nothing_is_published_by_an_attempt_that_lost_its_claim(work: Path) -> None:
    def lost() -> None:
        raise RunError("superseded")

    durable = work.parent / "durable"
    with pytest.raises(RunError, match="superseded"):
        Publisher(work, durable, still_ours=lost).publish(["checkpoint/resume.pt"])
    assert os.listdir(durable) == []


def test_a_full_disk_keeps_the_older_checkpoint_and_says_what_is_missing(work: Path, small_disk: Path) -> None:
    publisher = Publisher(work, small_disk, retry_pauses=(0.0, 0.0))
    publisher.publish(["checkpoint/resume.pt"])
    size = 3 << 20
    replace(work / "checkpoint" / "resume.pt", os.urandom(size))
    missing = size - free_bytes(small_disk)
    with pytest.raises(RunError, match=rf"shared disk is full: {size:,} bytes to write, .* {missing:,} more bytes"):
        publisher.publish(["checkpoint/resume.pt"])
    assert (small_disk / "checkpoint" / "resume.pt").read_bytes() == b"one"
    assert os.listdir(small_disk / "checkpoint") == ["resume.pt"]


def test_room_that_is_made_in_time_is_used(work: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small_disk / "in the way").write_bytes(bytes(800 << 10))
    replace(work / "checkpoint" / "resume.pt", os.urandom(500 << 10))
    pauses: list[float] = []

    def make_room(seconds: float) -> None:
        pauses.append(seconds)
        (small_disk / "in the way").unlink()

    monkeypatch.setattr("slurm.job.publish.time.sleep", make_room)
    Publisher(work, small_disk).publish(["checkpoint/resume.pt"])
    assert (small_disk / "checkpoint" / "resume.pt").stat().st_size == 500 << 10
    assert pauses == [1.0]


def test_a_full_disk_is_known_by_its_number_and_by_its_room(small_disk: Path) -> None:
    told = RunError("in words")
    told.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert hit_full_disk(told)
    assert not hit_full_disk(OSError(errno.EIO, "Input/output error"))
    assert not is_full(small_disk)
    (small_disk / "much").write_bytes(bytes(free_bytes(small_disk) - 8192))
    assert is_full(small_disk)
