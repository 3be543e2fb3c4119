"""Uneven classes are drawn evenly, and an epoch's draws depend on (seed, epoch) alone."""

from __future__ import annotations

import pytest
import torch

from kd.data.sampling import sampled_order

LABELS = torch.tensor([0] * 90 + [2] * 10 + [3] * 20)  # class 1 has no image


@pytest.mark.parametrize(("sampling", "draws"), [("balanced", [40, 0, 40, 40]), ("square_root", [66, 0, 22, 32])])
def test_every_class_gets_its_share_of_the_draws(sampling, draws: list[int]) -> None:
    order = sampled_order(LABELS, sampling, seed=1, epoch=0)
    counts = torch.bincount(LABELS[order], minlength=4).tolist()
    assert sum(counts) == len(LABELS)
    # 120 draws in proportion to the roots 9.49, 3.16 and 4.47
    assert counts == pytest.approx(draws, abs=1)


def test_a_rare_class_shows_its_images_in_turn_and_a_frequent_one_none_twice() -> None:
    order = sampled_order(LABELS, "balanced", seed=1, epoch=0)
    times = torch.bincount(order, minlength=len(LABELS))
    assert set(times[LABELS == 2].tolist()) == {4}
    assert set(times[LABELS == 0].tolist()) == {0, 1}


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    first = sampled_order(LABELS, "balanced", seed=1, epoch=5)
    assert torch.equal(first, sampled_order(LABELS, "balanced", seed=1, epoch=5))
    for other in ({"seed": 2, "epoch": 5}, {"seed": 1, "epoch": 6}):
        assert not torch.equal(first.sort().values, sampled_order(LABELS, "balanced", **other).sort().values)
    runs = LABELS[first].unique_consecutive()
    assert len(runs) > 60  # classes are mixed, not one after the other


def test_over_many_epochs_all_images_of_a_frequent_class_are_seen() -> None:
    seen = torch.cat([sampled_order(LABELS, "balanced", seed=3, epoch=epoch) for epoch in range(12)])
    assert len(seen.unique()) == len(LABELS)
