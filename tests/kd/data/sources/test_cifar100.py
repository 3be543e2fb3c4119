"""CIFAR-100 from its official files, found in all their places; both kinds of labels."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd.data.sources.cifar10 import cifar10
from kd.data.sources.cifar100 import cifar100
from kd.errors import DataError

Pack = Callable[[Mapping[str, bytes]], Path]

FOLDER = "cifar-100-python"
NAMES = {
    b"fine_label_names": [b"apple", b"bear", b"bee"],
    b"coarse_label_names": [b"fruit", b"animal"],
}


def batch(first: int, count: int, **changed: Any) -> bytes:
    """Return an official batch: image i is ``first`` + i everywhere but for its first row, red, green and blue."""
    planes = (
        np.zeros((count, 3, 32, 32), dtype=np.uint8)
        + np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    )
    planes[:, :, 0, 0] = 10, 20, 30
    fine = [number % 3 for number in range(count)]
    content = {
        b"filenames": [b"some.png"] * count,
        b"fine_labels": fine,
        b"coarse_labels": [min(label, 1) for label in fine],
        b"data": planes.reshape(count, 3072),
    }
    return pickle.dumps(content | {name.encode(): value for name, value in changed.items()}, 2)


@pytest.fixture
def official() -> dict[str, bytes]:
    files = {"train": batch(100, 5), "test": batch(200, 2), "meta": pickle.dumps(NAMES, 2), "file.txt~": b""}
    return {f"{FOLDER}/{name}": data for name, data in files.items()}


def test_official_files_as_folder_and_archive(pack: Pack, official: dict[str, bytes]) -> None:
    arrays = cifar100(pack(official))
    assert arrays.train_images.shape == (5, 3, 32, 32)
    assert arrays.train_images[0, :, 0, 0].tolist() == [10, 20, 30]
    assert arrays.train_images[:, 1, 5, 5].tolist() == [100, 101, 102, 103, 104]
    assert arrays.test_images[:, 2, 31, 31].tolist() == [200, 201]
    assert arrays.train_labels.tolist() == [0, 1, 2, 0, 1]
    assert arrays.classes == ("apple", "bear", "bee")


def test_the_groups_are_the_classes_where_they_are_asked_for(pack: Pack, official: dict[str, bytes]) -> None:
    arrays = cifar100(pack(official), coarse=True)
    assert arrays.train_labels.tolist() == [0, 1, 1, 0, 1]
    assert arrays.classes == ("fruit", "animal")


def test_the_archive_is_found_beside_that_of_cifar_10(tmp_path: Path, tar: Pack, official: dict[str, bytes]) -> None:
    tar(official).rename(tmp_path / "cifar-100-python.tar.gz")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not even looked at")
    assert len(cifar100(tmp_path).train_labels) == 5
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz: damaged"):
        cifar10(tmp_path)


def test_the_unpacked_folder_goes_before_the_archive_beside_it(tmp_path: Path, official: dict[str, bytes]) -> None:
    (tmp_path / FOLDER).mkdir()
    for name, data in official.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"not even looked at")
    assert len(cifar100(tmp_path).train_labels) == 5
    assert len(cifar100(tmp_path / FOLDER).train_labels) == 5


def test_what_was_looked_for_is_named(tmp_path: Path) -> None:
    expected = (
        r"holds no CIFAR-100; looked for cifar-100-python/, cifar-100-python.tar.gz, cifar100\*.tar, .*cifar100\*.zip$"
    )
    with pytest.raises(DataError, match=expected):
        cifar100(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        cifar100(tmp_path / "gone")
    with pytest.raises(DataError, match=r"cifar100 needs data.root"):
        cifar100(None)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_missing_file_is_named(pack: Pack, official: dict[str, bytes], name: str) -> None:
    del official[f"{FOLDER}/{name}"]
    with pytest.raises(DataError, match=f": lacks {name}$"):
        cifar100(pack(official))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train", b"", "train: damaged, or no plain pickle"),
        ("test", batch(0, 2)[:-500], "test: damaged, or no plain pickle"),
        ("train", pickle.dumps(print, 2), r"'__builtin__.print' is not allowed|'builtins.print' is not allowed"),
        ("train", batch(0, 2, data=[1]), "train: no CIFAR-100 batch .data must be an array"),
        ("train", pickle.dumps({b"data": [1]}, 2), "train: no CIFAR-100 batch .*fine_labels"),
        ("train", batch(0, 2, fine_labels=[0, 3]), "labels run from 0 to 3, but there are 3 classes"),
        ("train", batch(0, 2, fine_labels=[0]), "2 training images but 1 training labels"),
        ("meta", pickle.dumps({b"fine_label_names": 3}, 2), "meta: no list of class names"),
        ("meta", pickle.dumps([], 2), "meta: no list of class names"),
        ("meta", pickle.dumps(eval, 2), "meta: damaged, or no plain pickle"),
    ],
    ids=["empty", "cut off", "a call", "a list", "no labels", "other label", "few labels", "number", "nothing", "eval"],
)
def test_a_damaged_or_hostile_file_is_named(
    tar: Pack, official: dict[str, bytes], name: str, content: bytes, message: str
) -> None:
    source = tar(official | {f"{FOLDER}/{name}": content})
    with pytest.raises(DataError, match=message) as refused:
        cifar100(source)
    assert str(refused.value).startswith(str(source))
    assert str(refused.value).count(str(source)) == 1
    assert "\n" not in str(refused.value)
