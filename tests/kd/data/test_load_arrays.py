"""A data set by name, whole or cut down; and how mistakes end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kd.catalog import entries
from kd.data.load_arrays import load_arrays
from kd.errors import DataError

SMALL = {"classes": 4, "size": 8, "train": 40, "test": 20}


def test_all_sources_are_in_the_catalogue() -> None:
    assert {"cifar10", "digits", "image_folder", "mnist", "synthetic"} <= set(entries("dataset"))


@pytest.mark.parametrize("name", sorted(entries("dataset")))
def test_every_source_has_a_summary_and_takes_a_root(name: str) -> None:
    entry = entries("dataset")[name]
    assert entry.inputs == ("root",)
    assert 20 < len(entry.summary) < 110


def test_arguments_reach_the_source() -> None:
    arrays = load_arrays("synthetic", None, SMALL)
    assert arrays.num_classes == 4
    assert arrays.train_images.shape == (40, 3, 8, 8)


def test_subsets_are_stratified_parts_of_the_whole_and_keep_its_statistics() -> None:
    whole = load_arrays("synthetic", None, SMALL)
    part = load_arrays("synthetic", None, SMALL, train_subset=12, test_subset=8)
    assert part.train_labels.bincount().tolist() == [3, 3, 3, 3]
    assert part.test_labels.bincount().tolist() == [2, 2, 2, 2]
    assert (part.mean, part.std) == (whole.mean, whole.std)
    for image, label in zip(part.train_images, part.train_labels, strict=True):
        same = (whole.train_images == image).flatten(1).all(dim=1)
        assert whole.train_labels[same].tolist() == [label]


def test_the_same_subset_is_taken_each_time() -> None:
    one, other = (load_arrays("synthetic", None, SMALL, train_subset=10) for _ in range(2))
    assert torch.equal(one.train_images, other.train_images)


@pytest.mark.parametrize(
    ("name", "arguments", "options", "message"),
    [
        ("sinthetic", {}, {}, r"no data set 'sinthetic' \(did you mean 'synthetic'\?\)"),
        ("synthetic", {"clases": 3}, {}, "takes no 'clases'.*did you mean 'classes'"),
        ("synthetic", {"classes": 0}, {}, "at least 1, got 0"),
        ("image_folder", {}, {}, "needs 'size'"),
        (
            "synthetic",
            SMALL,
            {"train_subset": 41},
            "data.train_subset is 41, but synthetic has 40 training images",
        ),
        ("synthetic", SMALL, {"test_subset": 0}, "data.test_subset is 0, but synthetic has 20 test images"),
    ],
)
def test_mistakes_end_in_one_line(name: str, arguments: dict[str, Any], options: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        load_arrays(name, None, arguments, **options)
    assert "\n" not in str(refused.value)
