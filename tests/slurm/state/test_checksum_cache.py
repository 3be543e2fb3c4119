"""Remembered checksums: right after every change, and no second reading without one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kd.files import sha256_file
from slurm.state import checksum_cache
from slurm.state.checksum_cache import RememberedDigests


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"1" * 1000)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    return path


def remember(memory: Path, path: Path) -> str:
    remembered = RememberedDigests(memory)
    digest = remembered(path)
    remembered.save()
    return digest


def test_an_unchanged_file_is_read_once(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "digests.json"
    digest = remember(memory, weights)
    assert digest == sha256_file(weights)
    monkeypatch.setattr(checksum_cache, "sha256_file", lambda path: pytest.fail(f"{path} was read again"))
    assert remember(memory, weights) == digest


def test_a_changed_file_is_read_again_though_its_size_is_the_same(tmp_path: Path, weights: Path) -> None:
    memory = tmp_path / "digests.json"
    before = remember(memory, weights)
    weights.write_bytes(b"2" * 1000)
    assert remember(memory, weights) == sha256_file(weights) != before


def test_a_file_put_in_another_s_place_with_its_time_is_read_again(tmp_path: Path, weights: Path) -> None:
    memory = tmp_path / "digests.json"
    remember(memory, weights)
    times = weights.stat()
    other = tmp_path / "other"
    other.write_bytes(b"2" * 1000)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(weights)
    assert remember(memory, weights) == sha256_file(weights)


def test_a_file_that_may_still_change_within_a_tick_is_not_remembered(tmp_path: Path, weights: Path) -> None:
    os.utime(weights)
    memory = tmp_path / "digests.json"
    remember(memory, weights)
    assert not memory.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 3}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, weights: Path, content: str) -> None:
    memory = tmp_path / "digests.json"
    memory.write_text(content)
    assert remember(memory, weights) == sha256_file(weights)
