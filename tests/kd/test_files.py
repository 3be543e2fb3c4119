"""Files: copies are whole and hashed, and a write that fails leaves what was there."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kd.files import CHUNK_BYTES, RING_BUFFERS, atomic_path, copy_hashed, sha256_file


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: the write that reaches it is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, (RING_BUFFERS + 3) * CHUNK_BYTES + 17])
def test_a_copy_holds_the_bytes_and_their_sha256(tmp_path: Path, size: int, durable: bool) -> None:
    content = os.urandom(size)
    source, target = tmp_path / "source", tmp_path / "new folder" / "target"
    source.write_bytes(content)
    digest = copy_hashed(source, target, durable=durable)
    assert digest == hashlib.sha256(content).hexdigest() == sha256_file(target)
    assert target.read_bytes() == content
    assert os.listdir(target.parent) == ["target"]


def test_a_copy_that_fails_leaves_the_older_target_and_no_half_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "folder" / "target"
    target.parent.mkdir()
    target.write_bytes(b"old")
    source.write_bytes(os.urandom(6 * CHUNK_BYTES))
    with largest_file(CHUNK_BYTES * 3 // 2), pytest.raises(OSError, match="File too large"):
        copy_hashed(source, target)
    assert os.listdir(target.parent) == ["target"]
    assert target.read_bytes() == b"old"


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
