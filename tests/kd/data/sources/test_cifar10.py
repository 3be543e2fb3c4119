"""CIFAR-10 from all its forms, found in all its places."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from kd.data.arrays import channel_statistics
from kd.data.sources.cifar10 import CLASSES, STD, cifar10
from kd.errors import DataError

Pack = Callable[[Mapping[str, bytes]], Path]

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def batch(number: int) -> bytes:
    """Return an official batch of two images: the planes of red, green and blue, row by row."""
    planes = np.zeros((2, 3, 32, 32), dtype=np.uint8)
    planes[0, :, 2, 5] = 10, 20, 30
    planes[1] = number
    content = {
        b"batch_label": b"some batch",
        b"labels": [number, 9 - number],
        b"data": planes.reshape(2, 3072),
        b"filenames": [b"one.png", b"two.png"],
    }
    return pickle.dumps(content, 2)


@pytest.fixture
def official() -> dict[str, bytes]:
    files = {f"cifar-10-batches-py/{name}": batch(number) for number, name in enumerate(BATCHES)}
    return files | {"cifar-10-batches-py/batches.meta": b"", "cifar-10-batches-py/readme.html": b""}


def test_official_batches_as_folder_and_archive(pack: Pack, official: dict[str, bytes]) -> None:
    arrays = cifar10(pack(official))
    assert arrays.train_images.shape == (10, 3, 32, 32)
    assert arrays.train_images[0, :, 2, 5].tolist() == [10, 20, 30]
    assert arrays.train_images[0].sum() == 60
    assert arrays.train_images[1::2, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert arrays.train_labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert arrays.test_labels.tolist() == [5, 4]
    assert arrays.classes == CLASSES


def test_class_folders_as_folder_and_archive(pack: Pack, cifar_tree: dict[str, bytes]) -> None:
    arrays = cifar10(pack(cifar_tree))
    assert arrays.train_images[:, 0, 0, 0].tolist() == [label * 20 for label in range(10) for _ in range(2)]
    assert arrays.train_images[:4, 1, 0, 0].tolist() == [0, 100, 0, 100]
    assert arrays.test_labels.tolist() == list(range(10))
    assert arrays.classes == CLASSES


def test_the_genuine_images(data_root: Path) -> None:
    genuine = cifar10(data_root)
    assert genuine.train_images.shape == (50_000, 3, 32, 32)
    assert genuine.train_labels.bincount().tolist() == [5000] * 10
    assert genuine.test_labels.bincount().tolist() == [1000] * 10
    mean, std = channel_statistics(genuine.train_images)
    assert genuine.mean == pytest.approx(mean, abs=2e-3)  # the images are JPEGs of the official pixels
    assert genuine.std == pytest.approx(std, abs=2e-3)

    # Ships and planes are bluer than frogs and deer.
    blueness = (genuine.test_images[:, 2].float() - genuine.test_images[:, 0].float()).mean(dim=(1, 2))
    of_class = {name: blueness[genuine.test_labels == label].mean() for label, name in enumerate(CLASSES)}
    assert min(of_class["airplane"], of_class["ship"]) > max(of_class["frog"], of_class["deer"])


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar10_images.tar.gz", "CIFAR10.tgz"])
def test_an_archive_is_found_in_its_folder(tmp_path: Path, tar: Pack, official: dict[str, bytes], name: str) -> None:
    folder = tmp_path / "data"
    (folder / "other").mkdir(parents=True)
    tar(official).rename(folder / name)
    assert len(cifar10(folder).train_labels) == 10


def test_the_unpacked_folder_goes_before_the_archive_beside_it(tmp_path: Path, official: dict[str, bytes]) -> None:
    for name, data in official.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not even looked at")
    assert len(cifar10(tmp_path).train_labels) == 10
    assert len(cifar10(tmp_path / "cifar-10-batches-py").train_labels) == 10


def test_a_folder_of_two_asks_for_one(tmp_path: Path) -> None:
    for name in ("cifar10.zip", "cifar10_images.tar.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"holds cifar10.zip, cifar10_images.tar.gz; name one of them as data.root"):
        cifar10(tmp_path)


def test_what_was_looked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no CIFAR-10; looked for cifar-10-batches-py/, train/, cifar-10-python"):
        cifar10(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        cifar10(tmp_path / "gone")
    with pytest.raises(DataError, match=r"needs data.root"):
        cifar10(None)


def test_a_missing_batch_is_named(pack: Pack, official: dict[str, bytes]) -> None:
    del official["cifar-10-batches-py/data_batch_3"]
    with pytest.raises(DataError, match=": lacks data_batch_3"):
        cifar10(pack(official))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "data_batch_2: damaged, or no plain pickle"),
        (batch(1)[:-500], "data_batch_2: damaged, or no plain pickle"),
        (pickle.dumps(print, 2), r"'__builtin__.print' is not allowed|'builtins.print' is not allowed"),
        (pickle.dumps([1, 2], 2), "data_batch_2: no CIFAR-10 batch"),
        (pickle.dumps({b"labels": [1]}, 2), "data_batch_2: no CIFAR-10 batch .*data"),
        (pickle.dumps({b"data": [1], b"labels": [1]}, 2), "data must be an array"),
        (pickle.dumps({b"data": np.zeros((1, 99), np.uint8), b"labels": [1]}, 2), "no CIFAR-10 batch"),
        (pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}, 2), "not an array of unsigned bytes"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["x"]}, 2), "labels whole numbers"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10**30]}, 2), "no CIFAR-10 batch"),
    ],
    ids=[
        "empty",
        "cut off",
        "a call",
        "a list",
        "no data",
        "list",
        "99 values",
        "floats",
        "text",
        "huge label",
    ],
)
def test_a_damaged_or_hostile_batch_is_named(
    tar: Pack, official: dict[str, bytes], content: bytes, message: str
) -> None:
    source = tar(official | {"cifar-10-batches-py/data_batch_2": content})
    with pytest.raises(DataError, match=message) as refused:
        cifar10(source)
    assert str(source) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_classes_are_refused(tar: Pack, cifar_tree: dict[str, bytes]) -> None:
    renamed = {name.replace("truck", "tram"): data for name, data in cifar_tree.items()}
    with pytest.raises(DataError, match=r"classes are .*tram; for other data use image_folder"):
        cifar10(tar(renamed))


def test_constants_are_those_of_the_pixels_not_of_single_images() -> None:
    assert min(STD) > 0.24  # the other, wrong ones are near 0.20
