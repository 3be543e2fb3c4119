"""The cache's file: what was written comes back with its card; anything else is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kd.distill.cached_teacher import CacheCard, CachedTeacher, open_cache, write_cache
from kd.errors import CheckpointError
from kd.train.step import Batch

CARD = CacheCard(
    teacher="a" * 64,
    images="b" * 64,
    augment={"crop": 4, "flip": True},
    views=3,
    classes=("x", "y"),
    precision="float32",
)
TENSORS = {"logits": torch.randn(3, 5, 2), "pooled": torch.randn(3, 5, 7), "validation_logits": torch.randn(4, 2)}


def test_tensors_and_card_come_back(tmp_path: Path) -> None:
    write_cache(tmp_path / "c", TENSORS, CARD)
    tensors, card = open_cache(tmp_path / "c")
    assert card == CARD
    assert card.key == CARD.key
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_equal_caches_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_cache(tmp_path / name, dict(reversed(TENSORS.items())) if name == "a" else TENSORS, CARD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "change",
    [{"teacher": "c"}, {"images": "c"}, {"augment": {"crop": 4}}, {"views": 2}, {"classes": ("x", "z")},
     {"precision": "bfloat16"}],
)  # fmt: skip
def test_whatever_decides_the_contents_is_in_the_key(change: dict) -> None:
    assert replace(CARD, **change).key != CARD.key


def test_a_batch_gets_the_outputs_of_its_images_in_its_view_and_views_begin_again(tmp_path: Path) -> None:
    teacher = CachedTeacher(TENSORS, device="cpu")
    indices = torch.tensor([4, 0, 2])
    for view in (1, 2, 0, 5):
        given = teacher(Batch(images=torch.empty(0), labels=indices, indices=indices, view=view))
        assert torch.equal(given["teacher_logits_BC"], TENSORS["logits"][view % 3, indices])
        assert torch.equal(given["teacher_features"]["pooled"], TENSORS["pooled"][view % 3, indices])


def not_a_cache(path: Path) -> None:
    save_file({"w": torch.zeros(1)}, path, metadata={"kd": "{}"})


def truncated(path: Path) -> None:
    write_cache(path, TENSORS, CARD)
    path.write_bytes(path.read_bytes()[:-20])


def of_other_contents(path: Path) -> None:
    write_cache(path, TENSORS, CARD)
    path.write_bytes(path.read_bytes().replace(b'flip\\": true', b'flip\\": null'))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read as a cache"),
        (lambda path: path.write_bytes(b"no"), "cannot be read as a cache"),
        (truncated, "cannot be read as a cache"),
        (not_a_cache, "carries no card of a cache"),
        (of_other_contents, "its card does not fit its contents"),
    ],
)
def test_anything_else_is_refused_in_one_line(make, words: str, tmp_path: Path) -> None:
    make(tmp_path / "c")
    with pytest.raises(CheckpointError, match=words) as error:
        open_cache(tmp_path / "c")
    assert "\n" not in str(error.value)
