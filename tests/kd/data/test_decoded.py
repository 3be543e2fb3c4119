"""A data set survives being written as one decoded file; other and damaged files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kd.data.arrays import ImageArrays
from kd.data.decoded import read_decoded, write_decoded
from kd.data.load_arrays import load_arrays
from kd.errors import DataError


@pytest.fixture
def arrays() -> ImageArrays:
    return load_arrays("synthetic", None, {"classes": 3, "size": 8, "train": 30, "test": 9})


def test_what_was_written_is_read(tmp_path: Path, arrays: ImageArrays) -> None:
    target = tmp_path / "some.safetensors"
    write_decoded(arrays, target)
    read = read_decoded(target)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(read, name), getattr(arrays, name))
    assert (read.classes, read.mean, read.std) == (arrays.classes, arrays.mean, arrays.std)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, arrays: ImageArrays) -> None:
    target = tmp_path / "some.safetensors"
    write_decoded(arrays, target)
    whole = target.read_bytes()
    for cut in range(0, len(whole), len(whole) // 40):
        target.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"some.safetensors: damaged") as refused:
            read_decoded(target)
        assert "\n" not in str(refused.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "weights.safetensors"
    with pytest.raises(DataError, match="no such file"):
        read_decoded(target)
    save_file({"weight": torch.zeros(2)}, target)
    with pytest.raises(DataError, match=r"holds no data set written by kd.data.prepare"):
        read_decoded(target)
    facts = {name: json.dumps([1, 2]) for name in ("classes", "mean", "std")}
    save_file({"weight": torch.zeros(2)}, target, {"format": "kd images 1"} | facts)
    with pytest.raises(DataError, match="damaged"):
        read_decoded(target)
