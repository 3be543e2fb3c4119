"""Order and views are functions of (seed, epoch, image) and of nothing else."""

from __future__ import annotations

import torch

from kd.data.augment import Views, epoch_order, epoch_views


def views(count: int = 500, *, seed: int = 1, view: int = 2) -> Views:
    return epoch_views(count, size=9, padding=4, flip=True, seed=seed, view=view)


def same(one: Views, other: Views) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("rows", "columns", "flips"))


def test_order_and_views_repeat_for_the_same_seed_and_epoch() -> None:
    assert torch.equal(epoch_order(100, seed=3, epoch=7), epoch_order(100, seed=3, epoch=7))
    assert same(views(), views())


def test_order_is_pinned() -> None:
    assert epoch_order(8, seed=42, epoch=0).tolist() == [5, 4, 6, 1, 2, 7, 3, 0]


def test_order_and_views_change_with_seed_and_epoch() -> None:
    orders = {tuple(epoch_order(50, seed=seed, epoch=epoch).tolist()) for seed in (0, 1) for epoch in (0, 1, 10)}
    assert len(orders) == 6
    assert not same(views(seed=1), views(seed=2))
    assert not same(views(view=1), views(view=2))


def test_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = views()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(1)
    assert same(first, views())


def test_the_view_of_an_image_does_not_depend_on_how_many_there_are() -> None:
    few, many = views(10), views(1000)
    assert torch.equal(few.rows, many.rows[:10])
    assert torch.equal(few.flips, many.flips[:10])


def test_all_offsets_and_both_sides_occur_evenly() -> None:
    drawn = views(9000)
    assert drawn.rows.dtype == drawn.columns.dtype == torch.int64
    for offsets in (drawn.rows, drawn.columns):
        counts = offsets.bincount()
        assert len(counts) == 9
        assert (counts - 1000).abs().max() < 150
    assert abs(drawn.flips.float().mean().item() - 0.5) < 0.03
    joint = (drawn.rows * 9 + drawn.columns).bincount(minlength=81)
    assert (joint - 9000 / 81).abs().max() < 55  # rows say nothing about columns


def test_holes_are_asked_for_and_lie_anywhere_in_the_image() -> None:
    assert views().holes is None
    holed = epoch_views(9000, size=9, padding=4, flip=True, seed=1, view=2, holes=True)
    assert same(holed, views(9000))  # the other streams stay as they are
    assert holed.holes.shape == (9000, 2)
    for centres in holed.holes.T:
        counts = centres.bincount()
        assert len(counts) == 9
        assert (counts - 1000).abs().max() < 150


def test_nothing_moves_without_padding_and_flip() -> None:
    drawn = epoch_views(20, size=9, padding=0, flip=False, seed=1, view=1)
    assert not drawn.rows.any()
    assert not drawn.columns.any()
    assert not drawn.flips.any()


def test_alternating_flips_mirror_each_image_in_every_second_view() -> None:
    views = [epoch_views(1000, size=8, padding=0, flip="alternating", seed=3, view=view).flips for view in range(4)]
    assert 400 < int(views[0].sum()) < 600
    assert torch.equal(views[1], ~views[0])
    assert torch.equal(views[2], views[0])
    assert torch.equal(views[3], views[1])
