"""Depths and widths of the 6n+2 networks, and the name that they share with none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.catalog import load
from kd.models.cifar_resnet import resnet8_cifar, resnet8x4
from kd.models.resnet import resnet8


@pytest.mark.parametrize(("name", "layers"), [("resnet8_cifar", 8), ("resnet20", 20), ("resnet110", 110)])
def test_the_name_counts_the_layers(name: str, layers: int) -> None:
    with torch.device("meta"):
        model = load("model", name)(10, 3, 32)
    shortcuts = 2
    counted = sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in model.modules())
    assert counted - shortcuts == layers


def test_three_stages_end_at_a_quarter_of_the_image() -> None:
    model = resnet8x4(10, 3, 32)
    assert model.conv1.out_channels == 32
    features = model.layer3(model.layer2(model.layer1(model.bn1(model.conv1(torch.randn(1, 3, 32, 32))))))
    assert features.shape == (1, 256, 8, 8)


def test_the_two_networks_called_resnet_8_are_not_confused() -> None:
    small, large = resnet8_cifar(10, 3, 32), resnet8(10, 3, 32)
    assert len(small.feature_taps) == 4
    assert len(large.feature_taps) == 5
