"""Choosing some of an image's modalities."""

from __future__ import annotations

import pytest
import torch

from kd.data.arrays import ImageArrays
from kd.data.modalities import channels_of, chosen_modalities
from kd.data.sources.synthetic_rgb_ir import synthetic_rgb_ir
from kd.errors import DataError, SpecError

ALL = (("rgb", 3), ("depth", 2), ("ir", 1))


def test_chosen_modalities_keep_the_order_of_the_images() -> None:
    assert chosen_modalities(ALL, None) == ALL
    chosen = chosen_modalities(ALL, ["ir", "rgb"])
    assert chosen == (("rgb", 3), ("ir", 1))
    assert channels_of(ALL, chosen) == [0, 1, 2, 5]


def test_a_modality_that_images_have_not_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"no 'infrared' \(known: depth, ir, rgb\)"):
        chosen_modalities(ALL, ["infrared"])


def test_arrays_seen_by_some_modalities_have_their_channels_and_normalisation_alone() -> None:
    frames = synthetic_rgb_ir(None, images=12, size=8)
    infrared = frames.seen_by(["ir"])
    assert torch.equal(infrared.train_images, frames.train_images[:, 3:])
    assert torch.equal(infrared.test_images, frames.test_images[:, 3:])
    assert (infrared.mean, infrared.std) == (frames.mean[3:], frames.std[3:])
    assert infrared.modalities == (("ir", 1),)
    assert torch.equal(infrared.train_labels, frames.train_labels)
    assert frames.seen_by(["ir", "rgb"]) is frames


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modalities": (("rgb", 3),)}, "do not add up to 4 channels"),
        ({"train_labels": torch.zeros(2, 3, dtype=torch.uint8)}, r"must be uint8 \[N, 2\]"),
        ({"train_labels": torch.full((2, 2), 2, dtype=torch.uint8)}, "must be 0 or 1, not 2"),
        ({"multi_label": False}, r"must be int64 \[N\]"),
    ],
)
def test_labels_and_modalities_that_do_not_fit_are_refused(change: dict, words: str) -> None:
    images, labels = torch.zeros(2, 4, 8, 8, dtype=torch.uint8), torch.zeros(2, 2, dtype=torch.uint8)
    good = {
        "train_images": images,
        "train_labels": labels,
        "test_images": images,
        "test_labels": labels,
        "classes": ("fire", "smoke"),
        "mean": (0.0,) * 4,
        "std": (1.0,) * 4,
        "multi_label": True,
        "modalities": (("rgb", 3), ("ir", 1)),
    }
    ImageArrays(**good)
    with pytest.raises(DataError, match=words):
        ImageArrays(**{**good, **change})
