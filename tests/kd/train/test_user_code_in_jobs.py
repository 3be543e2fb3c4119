"""Losses, data sets and augmentations of the user's own in a job: what they are given, what they may give back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kd.catalog import load
from kd.errors import DataError, SpecError
from kd.train.user_augmentation import NormalisedAugmentation
from kd.user_code import names, sources
from kd.user_code.frozen import collect, freeze, read_frozen

CODE = """
import random
import numpy as np
import torch
from torch import nn

class Dots(torch.utils.data.Dataset):
    classes = ["a", "b"]
    def __init__(self, count, scale=1, last=8):
        self.images = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(count - 1)]
        self.images.append(np.zeros((last, last, 3), np.uint8))
    def __len__(self):
        return len(self.images)
    def __getitem__(self, number):
        return self.images[number], number % 2

def items(root, last=8):
    return Dots(6), Dots(4, last=last)

def arrays(values="bytes"):
    draw = torch.Generator().manual_seed(0)
    images = {"bytes": torch.arange(192).reshape(1, 3, 8, 8).to(torch.uint8),
              "numbers": torch.rand(1, 3, 8, 8, generator=draw),
              "normalised": torch.randn(1, 3, 8, 8, generator=draw)}[values]
    return {"train": (images.repeat(4, 1, 1, 1), [0, 1, 0, 1]), "test": (images.repeat(2, 1, 1, 1), [0, 1])}

def nothing():
    return 3

def each(student_logits, labels):
    return (student_logits.argmax(1) == labels).float()

class Scaled(nn.Module):
    def __init__(self, size: int = 1):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), float(size)))
    def forward(self, student_logits):
        return (student_logits * self.weight).mean()

def shake(images, amount=0.5):
    images = images + amount * torch.rand(len(images), 1, 1, 1) * random.random() * np.random.rand()
    return images.clamp(0, 1)

def halved(images):
    return images[:, :, ::2]
"""


@pytest.fixture(autouse=True)
def bound(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "jobs_code.py").write_text(CODE)
    freeze(collect([tmp_path / "jobs_code.py"]), tmp_path / "own_code.zip")
    sources.bind(read_frozen(tmp_path / "own_code.zip"))
    yield
    sources.bind([])


def called(kind: str, name: str, *inputs: Any, **arguments: Any) -> Any:
    names.allow(f"jobs_code:{name}")
    return load(kind, f"jobs_code:{name}")(*inputs, **arguments)


def test_items_and_arrays_become_a_data_set() -> None:
    found = called("dataset", "items", None)
    assert (found.classes, found.channels, len(found.train_images)) == (("a", "b"), 3, 6)
    assert found.train_images[1].unique().tolist() == [10]
    assert called("dataset", "arrays", None).train_images[0].flatten().tolist() == list(range(192))
    assert called("dataset", "arrays", None, values="numbers").train_images.dtype == torch.uint8


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        (
            "items",
            {"last": 4},
            r"jobs_code.py:\d+: .*items: test: image 0 is of \[3, 8, 8\] and image 3 of",
        ),
        ("arrays", {"values": "normalised"}, "give bytes, or numbers from 0 to 1 that are not normalised"),
        ("nothing", {}, r"jobs_code.py:\d+: .*nothing gives int; expected \(train, test\) or"),
    ],
)
def test_what_is_no_data_set_is_said_with_its_place(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        called("dataset", name, None, **arguments)


def test_a_loss_gives_one_number_and_may_have_parameters() -> None:
    logits = torch.ones(2, 3, dtype=torch.bfloat16)
    scaled = called("loss", "Scaled", size=2)
    assert scaled(logits) == 2.0
    assert [tuple(each.shape) for each in scaled.parameters()] == [(1,)]
    with pytest.raises(SpecError, match=r"jobs_code.py:\d+: .*gives a tensor of shape \[2\]; one number is expected"):
        called("loss", "each")(logits, torch.zeros(2))


def test_an_augmentation_draws_by_its_step_and_leaves_all_other_draws_alone() -> None:
    pixels = torch.rand(4, 3, 8, 8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.2, 0.1])
    images = (pixels - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    shake = NormalisedAugmentation(
        called("augmentation", "shake"), mean=mean.tolist(), std=std.tolist(), device=torch.device("cpu"), seed=1
    )
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    before = torch.get_rng_state(), random.getstate()
    first = shake(images, 0, 5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert torch.equal(first, shake(images, 0, 5))
    assert not torch.equal(first, shake(images, 0, 6))
    back = first * std.view(1, 3, 1, 1) + mean.view(1, 3, 1, 1)
    assert -1e-6 < back.min() < back.max() < 1 + 1e-6
    with pytest.raises(SpecError, match=r"jobs_code.py:\d+: .*halved gives torch.float32 \[4, 3, 4, 8\]"):
        called("augmentation", "halved")(pixels)


def test_what_was_frozen_is_what_is_imported(tmp_path: Path) -> None:
    (tmp_path / "jobs_code.py").write_text("raise RuntimeError")
    assert called("dataset", "items", None).classes == ("a", "b")
    (tmp_path / "jobs_code.py").write_text(CODE.replace('["a", "b"]', '["c", "d"]'))
    sources.bind(collect([tmp_path / "jobs_code.py"]))
    assert called("dataset", "items", None).classes == ("c", "d")
