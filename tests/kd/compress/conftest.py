"""A small trained-looking network, its images, and files made of it once for all tests of a module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kd.models.resnet import resnet8


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """Give batch norm the statistics of some images, and scales that are not all one."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # an average over all batches
            with torch.no_grad():
                module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator) / 4)
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(images: Tensor) -> nn.Module:
    """A residual network: shortcuts tie the channels of several layers together."""
    torch.manual_seed(0)
    return settled(resnet8(5, 3, 16, width=8), images)
