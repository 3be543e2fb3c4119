"""MedMNIST's .npz files: colour and grey, by flag and size, and what is wrong with a file by its array's name."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest
import torch

from kd.data import archive
from kd.data.medmnist_flags import FLAGS
from kd.data.sources.medmnist import medmnist
from kd.errors import DataError
from kd.jobfile.schema import Data
from kd.jobfile.shapes import Shape, image_shape

COUNTS = {"train": 5, "val": 3, "test": 2}


def contents(classes: int = 9, channels: int = 3, size: int = 28) -> dict[str, Any]:
    """Return the six arrays of a file whose images are numbered by their pixels, val after train."""
    arrays: dict[str, Any] = {}
    first = 1
    for part, count in COUNTS.items():
        images = np.zeros((count, size, size, channels), dtype=np.uint8)
        images += np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
        images[:, 0, 1] = np.arange(100, 100 + channels)
        arrays[f"{part}_images"] = images if channels > 1 else images[..., 0]
        arrays[f"{part}_labels"] = (np.arange(first, first + count)[:, None] % classes).astype(np.uint8)
        first += count
    return arrays


def write(folder: Path, name: str, arrays: dict[str, Any]) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


def test_the_official_parts_train_and_val_are_the_training_part(tmp_path: Path) -> None:
    arrays = medmnist(write(tmp_path, "pathmnist.npz", contents()), flag="pathmnist")
    assert arrays.train_images.shape == (8, 3, 28, 28)
    assert arrays.train_images[:, 2, 9, 9].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert arrays.train_images[0, :, 0, 1].tolist() == [100, 101, 102]
    assert arrays.train_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert arrays.test_images[:, 0, 9, 9].tolist() == [9, 10]
    assert arrays.test_labels.tolist() == [0, 1]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("size", [28, 64])
def test_every_flag_and_size_is_found_in_its_folder_and_has_its_declared_shape(
    tmp_path: Path, flag: Any, size: Any
) -> None:
    facts = FLAGS[flag]
    name = f"{flag}.npz" if size == 28 else f"{flag}_{size}.npz"
    arrays = contents(facts.classes, facts.channels, size)
    if facts.multi_label:
        arrays |= {f"{part}_labels": np.eye(count, 14, dtype=np.uint8) for part, count in COUNTS.items()}
    write(tmp_path, name, arrays)
    write(tmp_path, "another.npz", contents())
    found = medmnist(tmp_path, flag=flag, size=size)
    data = Data.model_validate({"name": "medmnist", "validation": 1, "flag": flag, "size": size})
    declared = Shape(classes=facts.classes, channels=facts.channels, size=size, multi_label=facts.multi_label)
    assert image_shape(data) == declared
    assert (found.classes, found.channels, found.image_size) == (facts.names, facts.channels, size)
    assert found.multi_label == facts.multi_label


def test_the_catalogue_knows_every_flag() -> None:
    annotation = get_type_hints(medmnist)["flag"]
    assert annotation == Literal[tuple(FLAGS)]
    assert len(get_args(annotation)) == 12


def test_a_file_may_have_another_name_but_not_another_flag_s(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.npz", contents())
    assert medmnist(path, flag="pathmnist").num_classes == 9
    for name in ("organamnist", "chestmnist", "organamnist_64"):
        other = path.rename(tmp_path / f"{name}.npz")
        with pytest.raises(DataError, match=rf"npz: is {name.partition('_')[0]}, but data.flag is organcmnist$"):
            medmnist(other, flag="organcmnist")
        path = other


def test_chestmnist_has_fourteen_labels_per_image(tmp_path: Path) -> None:
    arrays = contents(channels=1)
    for part, count in COUNTS.items():
        arrays[f"{part}_labels"] = np.eye(count, 14, k=3, dtype=np.uint8)
    read = medmnist(write(tmp_path, "chestmnist.npz", arrays), flag="chestmnist")
    assert read.multi_label
    assert read.train_labels.dtype == torch.uint8
    assert read.train_labels[0].tolist() == [0, 0, 0, 1, *[0] * 10]
    assert (read.classes[0], read.classes[13]) == ("atelectasis", "hernia")


@pytest.mark.parametrize(("flag", "has"), [("octmnist", 1), ("chestmnist", 14)])
def test_another_number_of_labels_per_image_is_refused(tmp_path: Path, flag: Any, has: int) -> None:
    arrays = contents(channels=1)
    arrays["train_labels"] = np.zeros((5, 3), dtype=np.uint8)
    path = write(tmp_path, "mine.npz", arrays)
    with pytest.raises(DataError, match=f"train_labels has 3 labels per image, but {flag} has {has}$"):
        medmnist(path, flag=flag)


def test_labels_of_chestmnist_are_0_or_1(tmp_path: Path) -> None:
    arrays = contents(channels=1)
    arrays |= {f"{part}_labels": np.full((count, 14), 2, np.uint8) for part, count in COUNTS.items()}
    with pytest.raises(DataError, match="train_labels runs from 2 to 2, but chestmnist has labels of 0 and 1"):
        medmnist(write(tmp_path, "chestmnist.npz", arrays), flag="chestmnist")


def test_a_small_file_of_gigabytes_is_refused_before_they_are_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 0)
    np.savez_compressed(tmp_path / "pathmnist.npz", **contents() | {"more": np.zeros(10_000_000, np.uint8)})
    with pytest.raises(DataError, match="over 50 times as much; refused"):
        medmnist(tmp_path, flag="pathmnist")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"medmnist needs data.root: bloodmnist_64.npz or its folder"):
        medmnist(None, flag="bloodmnist", size=64)
    with pytest.raises(DataError, match=r"holds no bloodmnist_64.npz$"):
        medmnist(tmp_path, flag="bloodmnist", size=64)
    with pytest.raises(DataError, match="no such file or folder"):
        medmnist(tmp_path / "gone.npz", flag="bloodmnist")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val_images": None}, "lacks val_images"),
        ({"test_labels": None}, "lacks test_labels"),
        ({"train_images": np.array([{}, 1], dtype=object)}, "train_images is damaged or refused"),
        (
            {"train_images": np.zeros((5, 28, 28), np.uint8)},
            r"train_images is uint8 \[5, 28, 28\], but .*\[N, 28, 28, 3\]",
        ),
        ({"train_images": np.zeros((5, 64, 64, 3), np.uint8)}, r"train_images is uint8 \[5, 64, 64, 3\]"),
        ({"train_images": np.zeros((5, 28, 28, 3))}, "train_images is float64"),
        ({"test_images": np.zeros((0, 28, 28, 3), np.uint8)}, r"test_images is uint8 \[0, 28, 28, 3\]"),
        ({"test_images": np.uint8(3)}, r"test_images is uint8 \[\]"),
        ({"val_labels": np.zeros((4, 1), np.uint8)}, "val_labels is uint8 .*, not whole numbers, one for each of 3"),
        ({"val_labels": np.zeros((3, 1))}, "val_labels is float64"),
        ({"val_labels": np.uint8(3)}, r"val_labels is uint8 \[\]"),
        ({"test_labels": np.full((2, 1), 9, np.uint8)}, "test_labels runs from 9 to 9, but pathmnist has 9 classes"),
        ({"test_labels": np.full((2, 1), -1, np.int8)}, "test_labels runs from -1 to -1"),
    ],
)
def test_a_wrong_array_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in (contents() | changed).items() if array is not None}
    path = write(tmp_path, "pathmnist.npz", arrays)
    with pytest.raises(DataError, match=message) as refused:
        medmnist(path, flag="pathmnist")
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_images_without_variation_are_refused_by_the_name_of_their_file(tmp_path: Path) -> None:
    arrays = contents()
    for part in ("train", "val"):
        arrays[f"{part}_images"][:] = 7
    path = write(tmp_path, "pathmnist.npz", arrays)
    with pytest.raises(DataError, match=r"pathmnist.npz: a channel without variation"):
        medmnist(path, flag="pathmnist")


def test_damaged_files_end_in_one_line(tmp_path: Path) -> None:
    whole = write(tmp_path, "whole.npz", contents()).read_bytes()
    path = tmp_path / "pathmnist.npz"
    np.save(tmp_path / "one.npy", np.zeros(3))
    hostile = [b"", b"PK\x03\x04", (tmp_path / "one.npy").read_bytes(), b"\x80\x04cos\nsystem\n", whole[:3000]]
    hostile += [whole[:place] + b"\xff" * 40 + whole[place + 40 :] for place in range(0, len(whole) - 40, 501)]
    for data in hostile:
        path.write_bytes(data)
        with pytest.raises(DataError) as refused:
            medmnist(path, flag="pathmnist")
        assert str(refused.value).startswith(str(path))
        assert "\n" not in str(refused.value)


def test_an_array_that_promises_more_than_there_is_ends_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "pathmnist.npz", {name: array for name, array in contents().items() if name != "val_images"})
    with zipfile.ZipFile(path, "a") as pack, pack.open("val_images.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**15, 28, 28, 3)}
        np.lib.format.write_array_header_1_0(member, header)
    with pytest.raises(DataError, match="val_images is damaged or refused"):
        medmnist(path, flag="pathmnist")
