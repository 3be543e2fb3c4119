"""The MobileNetV2 of the published tables of distillation on CIFAR-100: half the width, its first halving in the stem.

It differs from ``mobilenet_v2`` (arXiv:1801.04381) at width 0.5: channels are cut, not rounded to multiples of 8, ReLU
stands for ReLU6, every block has its expansion, and the stem has stride 2. Module names are those of RepDistiller and
mdistiller, so that their weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from kd.models.backbone import Preactivation, initialise_convolutions
from kd.models.mobilenet import STAGES

__all__ = ["mobilenet_v2_half"]

LAST = 1280  # channels in front of the classifier


def mobilenet_v2_half(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """MobileNetV2 of the CIFAR-100 tables (0.81 M parameters with 100 classes)."""
    return HalfMobileNet(num_classes, in_channels)


class Inverted(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class HalfMobileNet(nn.Module):
    """A stem that halves the image, seven rows of blocks, a 1x1 convolution, average pooling, a linear classifier."""

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "blocks.1",
        "stage2": "blocks.2",
        "stage3": "blocks.4",
        "stage4": "blocks.6",
        "pooled": "flatten",
    }

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        channels = 16
        self.conv1 = _convolution(in_channels, channels, 3, 2)
        rows: list[nn.Sequential] = []
        for stage in STAGES:
            wide, blocks = stage.channels // 2, list[nn.Module]()
            for number in range(stage.blocks):
                blocks.append(Inverted(channels, wide, stage.expansion, 1 if number else stage.cifar_stride))
                channels = wide
            rows.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(rows)
        self.conv2 = _convolution(channels, LAST, 1, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Linear(LAST, num_classes))
        self.preactivation_taps = {  # rows end without an activation
            stage: Preactivation(row, f"{row}.{len(rows[int(row[-1])]) - 1}.conv.7")
            for stage, row in self.feature_taps.items()
            if stage != "pooled"
        }
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.conv1(images_BCHW)
        for row in self.blocks:
            x = row(x)
        logits_BC: Tensor = self.classifier(self.flatten(self.avgpool(self.conv2(x))))
        return logits_BC


def _convolution(in_channels: int, out_channels: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
