"""The batches of an epoch."""

from __future__ import annotations

import torch

from kd.data.store import DeviceStore
from kd.train.batches import AugmentedBatches


def batches(count: int = 23, size: int = 5, seed: int = 1) -> AugmentedBatches:
    images = torch.arange(count * 3 * 4 * 4).reshape(count, 3, 4, 4).to(torch.uint8)
    store = DeviceStore(images, torch.arange(count), mean=[0.5] * 3, std=[0.5] * 3, padding=1, flip=True)
    return AugmentedBatches(store, batch_size=size, seed=seed)


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
