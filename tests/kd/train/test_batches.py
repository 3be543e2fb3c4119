"""The batches of an epoch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kd.data.mixing import Mixing
from kd.data.store import DeviceStore
from kd.errors import SpecError
from kd.train.batches import AugmentedBatches
from kd.train.distributed import Processes


def batches(count: int = 23, size: int = 5, seed: int = 1, **options: Any) -> AugmentedBatches:
    images = torch.arange(count * 3 * 4 * 4).reshape(count, 3, 4, 4).to(torch.uint8)
    store = DeviceStore(images, torch.arange(count), mean=[0.5] * 3, std=[0.5] * 3, padding=1, flip=True)
    return AugmentedBatches(store, batch_size=size, seed=seed, **options)


def test_an_epoch_shows_each_image_at_most_once_in_full_batches() -> None:
    it = batches()
    drawn = list(it.epoch(0))
    assert it.steps == len(drawn) == 4
    assert all(batch.images.shape == (5, 3, 4, 4) for batch in drawn)
    indices = torch.cat([batch.indices for batch in drawn]).tolist()
    assert len(set(indices)) == 20
    assert torch.cat([batch.labels for batch in drawn]).tolist() == indices


def test_an_epoch_can_be_entered_at_any_step() -> None:
    whole = list(batches().epoch(2))
    for first in range(5):
        rest = list(batches().epoch(2, first_step=first))
        assert len(rest) == 4 - first
        for batch, expected in zip(rest, whole[first:], strict=True):
            assert torch.equal(batch.images, expected.images)
            assert torch.equal(batch.indices, expected.indices)


def test_rare_classes_are_drawn_as_often_and_an_epoch_can_still_be_entered_at_any_step() -> None:
    images = torch.arange(24 * 3 * 4 * 4).reshape(24, 3, 4, 4).to(torch.uint8)
    labels = torch.tensor([0] * 20 + [1] * 4)
    store = DeviceStore(images, labels, mean=[0.5] * 3, std=[0.5] * 3, padding=1, flip=True)
    it = AugmentedBatches(store, batch_size=6, seed=1, sampling="balanced")
    whole = list(it.epoch(2))
    assert torch.bincount(torch.cat([batch.labels for batch in whole])).tolist() == [12, 12]
    for batch, expected in zip(it.epoch(2, first_step=2), whole[2:], strict=True):
        assert torch.equal(batch.indices, expected.indices)
        assert torch.equal(batch.images, expected.images)
    assert not torch.equal(next(it.epoch(3)).indices, whole[0].indices)


def test_order_and_views_change_with_the_epoch_and_with_the_seed() -> None:
    first = next(batches().epoch(0))
    for other in (next(batches().epoch(1)), next(batches(seed=2).epoch(0))):
        assert not torch.equal(first.indices, other.indices)
    assert first.view == 0
    assert next(batches().epoch(1)).view == 1


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    it = batches(count=3, size=8)
    assert it.steps == 1
    assert it.batch_size == 3


def test_processes_share_exactly_the_batches_of_one() -> None:
    """Order, views and mixing are those of one process; each has its run of every batch."""
    mixing = Mixing(mixup=0.4, cutmix=1.0)
    whole = list(batches(size=6, mixing=mixing).epoch(1))
    shares = [
        list(batches(size=6, mixing=mixing, processes=Processes(rank=rank, count=3)).epoch(1)) for rank in range(3)
    ]
    for step, expected in enumerate(whole):
        parts = [share[step] for share in shares]
        assert torch.equal(torch.cat([part.images for part in parts]), expected.images)
        assert torch.equal(torch.cat([part.labels for part in parts]), expected.labels)
        assert torch.equal(torch.cat([part.indices for part in parts]), expected.indices)
        assert torch.equal(torch.cat([part.mixed.labels for part in parts]), expected.mixed.labels)
        assert {part.mixed.share for part in parts} == {expected.mixed.share}


def test_each_of_several_processes_draws_its_own_random_numbers_at_every_step() -> None:
    drawn = []
    for rank in range(2):
        it = batches(size=6, processes=Processes(rank=rank, count=2))
        drawn.append([torch.rand(1).item() for _ in it.epoch(0)])
        torch.rand(5)
        again = [torch.rand(1).item() for _ in it.epoch(0, first_step=1)]
        assert again == drawn[-1][1:]
    assert len({*drawn[0], *drawn[1]}) == len(drawn[0]) + len(drawn[1])


def test_a_batch_that_cannot_be_shared_equally_is_refused() -> None:
    with pytest.raises(SpecError, match="5 images cannot be shared equally by 2"):
        batches(size=5, processes=Processes(rank=0, count=2))


def test_mixed_images_are_those_of_the_batch_and_their_labels_the_partners() -> None:
    plain, mixed = next(batches(size=8).epoch(0)), next(batches(size=8, mixing=Mixing(mixup=1.0)).epoch(0))
    assert torch.equal(plain.indices, mixed.indices)
    assert plain.mixed is None
    images = dict(zip(plain.labels.tolist(), plain.images, strict=True))
    partners = torch.stack([images[label] for label in mixed.mixed.labels.tolist()])
    torch.testing.assert_close(mixed.images, mixed.mixed.share * plain.images + (1 - mixed.mixed.share) * partners)
