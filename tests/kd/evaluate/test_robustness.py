"""Attacks: bounds kept, closed forms of a linear model, more steps at least as strong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kd.evaluate.robustness import PixelScale, attacked_accuracy, fgsm, pgd

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SCALE = PixelScale(MEAN, STD)
EPSILON = 8 / 255


def pixels(images: Tensor) -> Tensor:
    return images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


@pytest.fixture
def images() -> Tensor:
    grey = torch.rand(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return (grey - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@pytest.fixture
def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2))


def test_fgsm_moves_each_pixel_against_a_linear_model(linear: nn.Module, images: Tensor) -> None:
    labels = torch.zeros(len(images), dtype=torch.int64)
    images = images * 0.5  # away from black and white
    changed = fgsm(epsilon=EPSILON, scale=SCALE)(linear, images, labels)
    direction = (linear[1].weight[1] - linear[1].weight[0]).sign().view(3, 4, 4)
    torch.testing.assert_close(pixels(changed) - pixels(images), (EPSILON * direction).expand_as(images))


@pytest.mark.parametrize("attack", [fgsm(epsilon=EPSILON, scale=SCALE), pgd(epsilon=EPSILON, scale=SCALE, step_size=1)])
def test_changed_images_are_images_within_the_bound(attack, linear: nn.Module, images: Tensor) -> None:
    changed = pixels(attack(linear, images, torch.zeros(len(images), dtype=torch.int64)))
    assert float((changed - pixels(images)).abs().max()) <= EPSILON * 1.001
    assert float(changed.min()) >= -1e-6
    assert float(changed.max()) <= 1 + 1e-6
    assert not torch.equal(changed, pixels(images))


def test_a_linear_model_falls_exactly_where_its_margin_is_too_small(linear: nn.Module, images: Tensor) -> None:
    """The margin shrinks by epsilon times the weights' 1-norm on the pixels' scale; both attacks find that optimum."""
    images = images * 0.5
    with torch.no_grad():
        labels = linear(images).argmax(1)
        logits = linear(images)
    margin = (logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])).flatten()
    difference = (linear[1].weight[1] - linear[1].weight[0]).detach().view(3, 16)
    for epsilon in (0.005, 0.02, 0.05):
        loss = epsilon * float((difference.abs().sum(1) / torch.tensor(STD)).sum())
        expected = float((margin > loss).float().mean())
        batches = [(images[:10], labels[:10]), (images[10:], labels[10:])]
        assert attacked_accuracy(linear, batches, fgsm(epsilon=epsilon, scale=SCALE)) == pytest.approx(expected)
        assert attacked_accuracy(linear, batches, pgd(epsilon=epsilon, scale=SCALE)) == pytest.approx(expected)


def test_no_bound_means_no_attack_and_gradients_are_left_alone(linear: nn.Module, images: Tensor) -> None:
    labels = torch.arange(len(images)) % 2
    with torch.no_grad():
        plain = float((linear(images).argmax(1) == labels).float().mean())
    assert attacked_accuracy(linear, [(images, labels)], fgsm(epsilon=0.0, scale=SCALE)) == pytest.approx(plain)
    assert all(parameter.grad is None for parameter in linear.parameters())


def test_equal_seeds_give_equal_attacks(images: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    labels = torch.zeros(len(images), dtype=torch.int64)
    first, second, other = (
        pgd(epsilon=EPSILON, scale=SCALE, steps=3, seed=seed)(model, images, labels) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_of_several_labels_every_answer_is_attacked_and_counts(images: Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    labels = (model(images) > 0).to(torch.uint8)  # all answers right
    attack = fgsm(epsilon=0.2, scale=SCALE)
    changed = model(attack(model, images, labels)) > 0
    found = attacked_accuracy(model, [(images[:10], labels[:10]), (images[10:], labels[10:])], attack)
    assert found == pytest.approx((changed == labels).double().mean().item())
    assert found < 0.9
