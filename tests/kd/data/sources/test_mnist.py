"""MNIST from its idx files: the genuine ones, and small ones damaged in every way."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import torch

from kd.data.arrays import channel_statistics
from kd.data.sources.mnist import mnist
from kd.errors import DataError


def idx(magic: int, shape: tuple[int, ...], values: bytes) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + values


FILES = {
    "train-images-idx3-ubyte": idx(2051, (3, 2, 2), bytes(range(12))),
    "train-labels-idx1-ubyte": idx(2049, (3,), bytes([7, 0, 9])),
    "t10k-images-idx3-ubyte": idx(2051, (1, 2, 2), bytes([9, 8, 7, 6])),
    "t10k-labels-idx1-ubyte": idx(2049, (1,), bytes([5])),
}


def write(folder: Path, *, zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_found_and_read_in_every_usual_place(tmp_path: Path, place: str, zipped: bool) -> None:
    write(tmp_path / place, zipped=zipped)
    arrays = mnist(tmp_path)
    assert arrays.train_images.tolist()[1] == [[[4, 5], [6, 7]]]
    assert arrays.train_labels.tolist() == [7, 0, 9]
    assert arrays.test_images.tolist() == [[[[9, 8], [7, 6]]]]
    assert arrays.test_labels.tolist() == [5]


def test_the_genuine_files(data_root: Path) -> None:
    arrays = mnist(data_root)
    assert arrays.train_images.shape == (60_000, 1, 28, 28)
    assert arrays.test_images.shape == (10_000, 1, 28, 28)
    assert arrays.train_labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert arrays.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    mean, std = channel_statistics(arrays.train_images)
    assert arrays.mean == pytest.approx(mean, abs=5e-5)
    assert arrays.std == pytest.approx(std, abs=5e-5)
    assert torch.equal(mnist(data_root / "MNIST" / "raw").test_images, arrays.test_images)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / f"{name}.gz").unlink()
    with pytest.raises(DataError, match=rf"{tmp_path}: {name}\[.gz\] is missing; looked in ., raw, MNIST/raw"):
        mnist(tmp_path)


def test_no_root_is_refused() -> None:
    with pytest.raises(DataError, match=r"needs data.root"):
        mnist(None)


IMAGES, LABELS = FILES["train-images-idx3-ubyte"], FILES["train-labels-idx1-ubyte"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(IMAGES)[:-9], "damaged or unreadable"),
        (b"no gzip", "damaged or unreadable"),
        (gzip.compress(IMAGES)[:15] + b"\xff" + gzip.compress(IMAGES)[16:], "damaged or unreadable"),
        (gzip.compress(LABELS), "magic number 2049 instead of 2051"),
        (gzip.compress(IMAGES[:-1]), "11 bytes of values, but its header promises 12"),
        (gzip.compress(IMAGES + b"x"), "more than 12 bytes of values, but its header promises 12"),
        (gzip.compress(IMAGES[:10]), "cut off in its header"),
        (gzip.compress(b""), "cut off in its header"),
        (gzip.compress(idx(2051, (2**31, 2**31, 2**31), b"")), "promises 9,903,520,314,283,042"),
    ],
    ids=["cut off", "no gzip", "changed", "labels", "short", "long", "half a header", "empty", "absurd"],
)
def test_a_damaged_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = write(tmp_path) / "train-images-idx3-ubyte.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as refused:
        mnist(tmp_path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    labels = write(tmp_path) / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(2049, (2,), bytes([1, 2]))))
    with pytest.raises(DataError, match="3 training images but 2 training labels"):
        mnist(tmp_path)
    labels.write_bytes(gzip.compress(idx(2049, (3,), bytes([1, 2, 10]))))
    with pytest.raises(DataError, match="labels run from 1 to 10"):
        mnist(tmp_path)
