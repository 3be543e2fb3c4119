"""Measuring: evaluation mode, every image once, plain cross-entropy, no gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kd.evaluate.measure import measure

CPU = torch.device("cpu")


def test_uneven_batches_weigh_by_their_images() -> None:
    images, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    metrics = measure(nn.Identity(), batches, num_classes=3, device=CPU)
    assert metrics.loss == pytest.approx(F.cross_entropy(images, labels).item(), rel=1e-6)
    assert metrics.accuracy == pytest.approx((images.argmax(1) == labels).double().mean().item())


def test_dropout_is_off_and_batch_statistics_stay_as_they_are() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9)).train()
    batches = [(torch.randn(8, 3) + 5, torch.zeros(8, dtype=torch.int64))]
    first, second = (measure(model, batches, num_classes=3, device=CPU) for _ in range(2))
    assert first == second
    assert model[0].running_mean.tolist() == [0.0, 0.0, 0.0]
