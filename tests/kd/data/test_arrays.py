"""ImageArrays refuses what does not fit; channel statistics are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kd.data.arrays import ImageArrays, channel_statistics
from kd.errors import DataError


def parts(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "train_images": torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        "train_labels": torch.tensor([0, 1, 0, 1]),
        "test_images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        "test_labels": torch.tensor([1, 0]),
        "classes": ("cat", "dog"),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
    }
    return whole | changes


def test_facts_of_a_sound_set() -> None:
    arrays = ImageArrays(**parts())
    assert (arrays.num_classes, arrays.channels, arrays.image_size) == (2, 3, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": torch.zeros(4, 3, 8, 8)}, "training images must be uint8"),
        ({"train_images": torch.zeros(4, 8, 8, dtype=torch.uint8)}, "training images must be uint8"),
        ({"train_images": torch.zeros(4, 3, 8, 9, dtype=torch.uint8)}, "must be square"),
        (
            {"train_images": torch.zeros(5, 3, 8, 8, dtype=torch.uint8)},
            "5 training images but 4 training labels",
        ),
        ({"test_images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "differ in shape: 3x8x8 .*1x8x8"),
        (
            {"test_images": torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "test_labels": torch.zeros(0).long()},
            "empty",
        ),
        ({"test_labels": torch.tensor([1.0, 0.0])}, "test labels must be int64"),
        ({"test_labels": torch.tensor([1, 2])}, "test labels run from 1 to 2, but there are 2 classes"),
        ({"train_labels": torch.tensor([0, 1, 0, -1])}, "training labels run from -1"),
        ({"classes": ("cat", "cat")}, "different names"),
        ({"mean": (0.5,)}, "1 means, 3 deviations, 3 channels"),
        ({"std": (0.2, 0.0, 0.2)}, "without variation"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        ImageArrays(**parts(**changes))
    assert "\n" not in str(refused.value)


def test_statistics_equal_those_of_the_float_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (50, 3, 9, 9), dtype=torch.uint8, generator=generator)
    images[:, 1] //= 3
    mean, std = channel_statistics(images.contiguous(memory_format=torch.channels_last))
    pixels = images.double() / 255
    assert mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)
