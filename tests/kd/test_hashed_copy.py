"""Copies are whole and hashed, and one that fails leaves what was there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kd.files import CHUNK_BYTES, sha256_file
from kd.hashed_copy import RING_BUFFERS, copy_hashed
from tests.kd.test_files import largest_file


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
