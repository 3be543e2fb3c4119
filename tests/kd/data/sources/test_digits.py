"""The digits of scikit-learn and their fixed test part."""

from __future__ import annotations

import pytest
import torch

from kd.data.sources.digits import digits
from kd.errors import DataError


def test_facts() -> None:
    arrays = digits(None)
    assert arrays.train_images.shape == (1437, 1, 8, 8)
    assert arrays.test_images.shape == (360, 1, 8, 8)
    assert int(arrays.train_images.max()) == 255
    assert arrays.classes == tuple("0123456789")
    shares = arrays.test_labels.bincount() / (arrays.test_labels.bincount() + arrays.train_labels.bincount())
    assert (shares - 360 / 1797).abs().max() < 0.005


def test_the_test_part_is_pinned() -> None:
    arrays = digits(None)
    assert arrays.test_labels[:12].tolist() == [4, 5, 5, 0, 9, 0, 2, 7, 2, 3, 6, 9]
    assert arrays.mean == pytest.approx((0.3053,), abs=1e-4)


def test_images_and_labels_belong_together() -> None:
    arrays = digits(None)
    images, test = arrays.train_images.float().flatten(1), arrays.test_images.float().flatten(1)
    nearest = arrays.train_labels[torch.cdist(test, images).argmin(1)]
    assert (nearest == arrays.test_labels).float().mean() > 0.97


def test_without_scikit_learn_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{digits.__module__}.find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs scikit-learn: pip install scikit-learn"):
        digits(None)
