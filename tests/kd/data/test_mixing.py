"""Mixup and CutMix: pure functions of (seed, epoch, step), and what they do to pixels."""

from __future__ import annotations

import pytest
import torch

from kd.data.mixing import Box, Mixing, Pairs, draw_pairs, mix_images

SIZE, SIDE = 64, 16
BOTH = Mixing(mixup=0.4, cutmix=1.0)


def draw(mixing: Mixing, *, seed: int = 1, epoch: int = 2, step: int = 3) -> Pairs:
    return draw_pairs(mixing, size=SIZE, image_size=SIDE, seed=seed, epoch=epoch, step=step)


def test_pairs_repeat_and_change_with_seed_epoch_and_step() -> None:
    first, again = draw(BOTH), draw(BOTH)
    assert torch.equal(first.partners, again.partners)
    assert (first.share, first.box) == (again.share, again.box)
    for other in (draw(BOTH, seed=2), draw(BOTH, epoch=3), draw(BOTH, step=4)):
        assert not torch.equal(first.partners, other.partners)
        assert first.share != other.share


def test_partners_are_a_permutation() -> None:
    assert draw(BOTH).partners.sort().values.tolist() == list(range(SIZE))


def test_global_random_state_is_neither_read_nor_moved() -> None:
    before = torch.random.get_rng_state()
    first = draw(BOTH)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(1)
    assert draw(BOTH).share == first.share


@pytest.mark.parametrize(("alpha", "extreme"), [(0.2, 0.673), (1.0, 0.2), (8.0, 0.00007)])
def test_shares_follow_the_beta_distribution(alpha: float, extreme: float) -> None:
    """``extreme``: how often a share of Beta(alpha, alpha) lies within 0.1 of 0 or 1 (scipy.stats.beta.cdf)."""
    shares = torch.tensor([draw(Mixing(mixup=alpha), step=step).share for step in range(2000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert ((shares < 0.1) | (shares > 0.9)).float().mean().item() == pytest.approx(extreme, abs=0.05)


def test_of_both_a_fair_coin_picks() -> None:
    cut = sum(draw(BOTH, step=step).box is not None for step in range(1000))
    assert 440 < cut < 560
    assert draw(Mixing(mixup=1.0)).box is None
    assert draw(Mixing(cutmix=1.0)).box is not None


def test_mixup_weighs_pixels_by_their_shares() -> None:
    images, partners = torch.randn(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    expected = 0.3 * images + 0.7 * partners
    mixed = mix_images(images, partners, Pairs(partners=torch.arange(4), share=0.3, box=None))
    torch.testing.assert_close(mixed, expected)


def test_cutmix_pastes_exactly_the_box() -> None:
    images, partners = torch.zeros(2, 1, 6, 6), torch.ones(2, 1, 6, 6)
    box = Box(top=1, bottom=3, left=2, right=6)
    mixed = mix_images(images, partners, Pairs(partners=torch.arange(2), share=1 - 8 / 36, box=box))
    assert mixed[:, :, 1:3, 2:6].min() == 1
    assert mixed.sum() == 2 * 8


def test_the_share_of_labels_is_the_share_of_pixels_that_stayed() -> None:
    for step in range(200):
        pairs = draw(Mixing(cutmix=1.0), step=step)
        images, partners = torch.ones(1, 1, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
        assert mix_images(images, partners, pairs).mean().item() == pytest.approx(pairs.share, abs=1e-6)
