"""Plain convolutional networks: ``convnet`` for small images, which trains in seconds, and ``student_cnn``.

Each block is a 3x3 convolution, batch norm, ReLU and 2x2 max-pooling; global average pooling and a linear classifier
end the network. Batch norm keeps the usual learning rates safe, which the same network without it does not. Weights
start as torch's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from kd.arguments import PositiveInt
from kd.errors import SpecError
from kd.models.backbone import Preactivation

__all__ = ["convnet", "student_cnn"]


def convnet(
    num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 32, blocks: PositiveInt = 3
) -> nn.Module:
    """Small convolutional network: width, then twice the width, channels (57 k parameters at width 32).

    Raises SpecError when ``blocks`` poolings leave nothing of the image.
    """
    return _network("convnet", num_classes, image_size, [in_channels, width] + [2 * width] * (blocks - 1))


def student_cnn(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """RGB student of the multimodal teachers: 64, 128, 256, 512 channels (1.56 M parameters).

    For images of 16 pixels a side and more; raises SpecError for smaller ones.
    """
    return _network("student_cnn", num_classes, image_size, [in_channels, 64, 128, 256, 512])


class ConvNet(nn.Module):
    """Blocks of convolution and pooling from ``channels[0]`` (the images') on, average pooling, a linear classifier."""

    def __init__(self, num_classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(channels)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels[-1], num_classes)
        stages = {f"stage{number + 1}": f"blocks.{number}" for number in range(len(self.blocks))}
        self.feature_taps = {**stages, "pooled": "flatten"}
        self.preactivation_taps = {stage: Preactivation(f"{block}.1", f"{block}.1") for stage, block in stages.items()}

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(self.blocks(images_BCHW))))
        return logits_BC


def _network(name: str, num_classes: int, image_size: int, channels: Sequence[int]) -> ConvNet:
    blocks = len(channels) - 1
    if image_size >> blocks < 1:
        raise SpecError(
            [f"{name}: {blocks} blocks halve a {image_size}-pixel image away; it needs {1 << blocks} pixels"]
        )
    return ConvNet(num_classes, channels)


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
