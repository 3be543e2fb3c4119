"""Synthetic images: balanced, repeatable, and learnable in proportion to the noise."""

from __future__ import annotations

import torch

from kd.data.arrays import ImageArrays
from kd.data.sources.synthetic import synthetic


def nearest_mean_accuracy(arrays: ImageArrays) -> float:
    """Return the test accuracy of assigning each image to the class with the nearest mean image."""
    images, test = arrays.train_images.float().flatten(1), arrays.test_images.float().flatten(1)
    means = torch.stack([images[arrays.train_labels == label].mean(0) for label in range(arrays.num_classes)])
    return float((torch.cdist(test, means).argmin(1) == arrays.test_labels).float().mean())


def test_shape_and_balance_are_as_asked() -> None:
    arrays = synthetic(None, classes=5, size=12, channels=1, train=50, test=20)
    assert arrays.train_images.shape == (50, 1, 12, 12)
    assert arrays.train_labels.bincount().tolist() == [10] * 5
    assert arrays.test_labels.bincount().tolist() == [4] * 5
    assert arrays.classes[4] == "class 4"


def test_the_seed_decides() -> None:
    first, again, other = (synthetic(None, size=8, train=20, test=10, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.train_images, again.train_images)
    assert not torch.equal(first.train_images, other.train_images)


def test_classes_can_be_told_apart_the_less_the_noisier() -> None:
    clear, noisy, noise_alone = (
        nearest_mean_accuracy(synthetic(None, size=16, train=200, test=200, noise=noise))
        for noise in (0.5, 6.0, 1000.0)
    )
    assert clear > 0.95
    assert clear > noisy + 0.05
    assert noisy > noise_alone + 0.1


def test_training_and_test_images_differ() -> None:
    arrays = synthetic(None, classes=2, size=8, train=10, test=10)
    assert not (arrays.train_images[:, None] == arrays.test_images[None]).flatten(2).all(dim=2).any()
