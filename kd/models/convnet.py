"""Plain convolutional networks for small images (digits 8x8, MNIST 28x28): students that train in seconds.

Each block is a 3x3 convolution, batch norm, ReLU and 2x2 max-pooling; global average pooling and a linear
classifier end the network. Batch norm keeps the usual learning rates safe, which the same network without it
does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from kd.arguments import PositiveInt
from kd.errors import SpecError

__all__ = ["convnet"]


def convnet(
    num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 32, blocks: PositiveInt = 3
) -> nn.Module:
    """Small convolutional network: width, then twice the width, channels (57 k parameters at width 32).

    Raises SpecError when ``blocks`` poolings leave nothing of the image.
    """
    if image_size >> blocks < 1:
        raise SpecError([f"convnet: {blocks} blocks halve a {image_size}-pixel image away; use fewer blocks"])
    return ConvNet(num_classes, in_channels, width, blocks)


class ConvNet(nn.Module):
    """``blocks`` of convolution and pooling, global average pooling, a linear classifier."""

    feature_taps: ClassVar[Mapping[str, str]] = {"maps": "blocks", "pooled": "flatten"}

    def __init__(self, num_classes: int, in_channels: int, width: int, blocks: int) -> None:
        super().__init__()
        channels = [in_channels, width] + [2 * width] * (blocks - 1)
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(channels)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels[-1], num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(self.blocks(images_BCHW))))
        return logits_BC


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
