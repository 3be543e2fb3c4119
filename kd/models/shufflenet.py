"""ShuffleNets for 32x32 images, as in the published tables of distillation on CIFAR-100: a stem of 1x1, three stages.

``shufflenet_v1`` (Zhang et al. 2018, arXiv:1707.01083) has three groups, ``shufflenet_v2`` (Ma et al. 2018,
arXiv:1807.11164) is the one of width 1. Module names are those of RepDistiller and mdistiller, so that their weights
fit; the classifier alone is called otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd.models.backbone import Preactivation, initialise_convolutions

__all__ = ["shufflenet_v1", "shufflenet_v2"]

STEM = 24  # channels


def shufflenet_v1(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ShuffleNetV1: 16 blocks of grouped 1x1 convolutions, three groups (0.86 M parameters)."""
    stages = (_stage_v1(STEM, 240, 4), _stage_v1(240, 480, 8), _stage_v1(480, 960, 4))
    return ShuffleNet(num_classes, in_channels, stages, 960)


def shufflenet_v2(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ShuffleNetV2: 16 blocks, of which each but the first of a stage leaves half the channels (1.3 M parameters)."""
    stages = (_stage_v2(STEM, 116, 3), _stage_v2(116, 232, 7), _stage_v2(232, 464, 3))
    return ShuffleNet(num_classes, in_channels, stages, 464, last=1024)


class ShuffleNet(nn.Module):
    """A 1x1 convolution, three ``stages`` that halve the image, perhaps one more 1x1, average pooling, a classifier.

    The stage taps are the stages' maps. Before the activation they are taken in the last block: of the sum, or of the
    half that is convolved beside the half that is left alone.
    """

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "layer1",
        "stage2": "layer2",
        "stage3": "layer3",
        "pooled": "flatten",
    }

    def __init__(
        self, num_classes: int, in_channels: int, stages: tuple[nn.Sequential, ...], width: int, last: int | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        self.layer1, self.layer2, self.layer3 = stages
        self.conv2, self.bn2 = None, None
        if last is not None:
            self.conv2, self.bn2 = nn.Conv2d(width, last, 1, bias=False), nn.BatchNorm2d(last)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(last or width, num_classes)
        ends = {f"stage{number}": f"layer{number}.{len(stage) - 1}" for number, stage in enumerate(stages, start=1)}
        self.preactivation_taps = {stage: Preactivation(f"{end}.before") for stage, end in ends.items()}
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(images_BCHW))))))
        if self.conv2 is not None and self.bn2 is not None:
            x = self.relu(self.bn2(self.conv2(x)))
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(x)))
        return logits_BC


class GroupedBlock(nn.Module):
    """ShuffleNetV1's block: grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; the input is added, or joined."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int = 3) -> None:
        super().__init__()
        joined = stride == 2
        channels = out_channels - in_channels if joined else out_channels
        hidden = channels // 4
        first = 1 if in_channels == STEM else groups
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, groups=first, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.shuffle = nn.ChannelShuffle(first)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, channels, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut = nn.AvgPool2d(3, 2, 1) if joined else None
        self.before = nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y = self.shuffle(self.relu(self.bn1(self.conv1(x))))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        whole = y + x if self.shortcut is None else torch.cat([y, self.shortcut(x)], 1)
        mapped: Tensor = self.relu(self.before(whole))
        return mapped


class SplitBlock(nn.Module):
    """ShuffleNetV2's block: half the channels stay as they are, half pass 1x1, depthwise 3x3, 1x1; then a shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.before = nn.Identity()
        self.relu = nn.ReLU()  # not in place: what it cuts is looked at before
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        alone, worked = x.chunk(2, 1)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(worked)))))
        joined = self.before(torch.cat([alone, self.bn3(self.conv3(y))], 1))
        # of the half that stays nothing is negative: it comes from an activation
        mapped: Tensor = self.shuffle(self.relu(joined))
        return mapped


class HalvingBlock(nn.Module):
    """The first block of a stage of ShuffleNetV2: both halves are convolved, with half the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, 2, 1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)
        self.relu = nn.ReLU(inplace=True)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        first = self.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        second = self.bn4(self.conv4(self.relu(self.bn3(self.conv3(x)))))
        second = self.relu(self.bn5(self.conv5(second)))
        mapped: Tensor = self.shuffle(torch.cat([first, second], 1))
        return mapped


def _stage_v1(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    rest = (GroupedBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(GroupedBlock(in_channels, out_channels, 2), *rest)


def _stage_v2(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(HalvingBlock(in_channels, out_channels), *(SplitBlock(out_channels) for _ in range(blocks)))
