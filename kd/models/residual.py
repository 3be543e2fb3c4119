"""Residual blocks and the network they make (He et al. 2016, arXiv:1512.03385): the parts behind every ResNet here.

Module names are those of torchvision, so that its weights fit. Each stage after the first halves the image and doubles
the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd.models.backbone import Backbone, Parts, Preactivation, Stem, initialise_convolutions


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: [B, C_in, H, W] -> [B, width, H/stride, W/stride]."""

    expansion: ClassVar[int] = 1
    last_norm: ClassVar[str] = "bn2"

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)
        self.preactivation = nn.Identity()  # for taps

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu_(self.preactivation(y + self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut: [B, C_in, H, W] -> [B, 4 width, H/stride, W/stride]."""

    expansion: ClassVar[int] = 4
    last_norm: ClassVar[str] = "bn3"

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)  # the stride sits here, as in torchvision
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, 4 * width, stride)
        self.preactivation = nn.Identity()  # for taps

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu_(self.preactivation(y + self.downsample(x)))


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(Backbone):
    """Stem, stages of residual blocks, average pooling, a linear classifier.

    ``blocks`` counts the blocks per stage. The first stage is ``width`` wide, and so is the stem unless
    ``stem_width`` says otherwise. Taps: ``stage1`` ... after the last activation of each stage (and before it), and
    ``pooled``.
    """

    parts: Parts = Parts(first_convolution="conv1", stem=("conv1", "bn1"), classifier="fc")

    def __init__(
        self,
        block: Block,
        blocks: Sequence[int],
        *,
        num_classes: int,
        in_channels: int,
        width: int,
        stem_width: int | None = None,
        stem: Stem = "cifar",
        enlarge: nn.Module | None = None,
    ) -> None:
        super().__init__()
        imagenet, channels = stem == "imagenet", stem_width or width
        self.enlarge = enlarge or nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, channels, *((7, 2, 3) if imagenet else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self._stages = [f"layer{number}" for number in range(1, len(blocks) + 1)]
        for number, (name, count) in enumerate(zip(self._stages, blocks, strict=True)):
            self.add_module(name, _stage(block, channels, width << number, count, stride=2 if number else 1))
            channels = (width << number) * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)
        self.feature_taps = {f"stage{name[-1]}": name for name in self._stages} | {"pooled": "flatten"}
        ends = {f"stage{name[-1]}": f"{name}.{count - 1}" for name, count in zip(self._stages, blocks, strict=True)}
        self.preactivation_taps = {
            stage: Preactivation(f"{end}.preactivation", f"{end}.{block.last_norm}") for stage, end in ends.items()
        }
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.enlarge(images_BCHW)))))
        for name in self._stages:
            x = getattr(self, name)(x)
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(x)))
        return logits_BC


def _stage(block: Block, in_channels: int, width: int, count: int, stride: int) -> nn.Sequential:
    first = block(in_channels, width, stride)
    rest = (block(width * block.expansion, width, 1) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
