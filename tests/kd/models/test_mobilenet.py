"""Strides, widths, dropout and torchvision's names for MobileNetV2."""

from __future__ import annotations

import pytest
import torch

from kd.models.mobilenet import mobilenet_v2
from kd.vision_libraries import import_vision


@pytest.mark.parametrize(("stem", "size", "side"), [("cifar", 32, 4), ("imagenet", 64, 2)])
def test_the_cifar_strides_halve_three_times_and_the_imagenet_strides_five(stem: str, size: int, side: int) -> None:
    model = mobilenet_v2(10, 3, size, stem=stem)
    assert model.features(torch.randn(2, 3, size, size)).shape == (2, 1280, side, side)


@pytest.mark.parametrize("width", [0.5, 1.0, 1.4])
def test_the_imagenet_network_is_torchvisions(width: float) -> None:
    theirs = import_vision("torchvision.models").mobilenet_v2(num_classes=7, width_mult=width).eval()
    ours = mobilenet_v2(7, 3, 64, stem="imagenet", width=width).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))


def test_dropout_acts_in_training_only() -> None:
    model = mobilenet_v2(10, 3, 32, dropout=0.5).eval()
    features = torch.randn(2, 1280)
    assert torch.equal(model.classifier(features), model.classifier(features))
    model.train()
    assert not torch.equal(model.classifier(features), model.classifier(features))
