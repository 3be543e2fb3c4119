"""Residual networks (He et al. 2016, arXiv:1512.03385), with a stem for 32x32 images or for ImageNet.

The CIFAR stem is one 3x3 convolution of stride 1 without max-pooling. ``resnet8`` is ResNet-18 with one block
per stage ([1, 1, 1, 1]), not the 6n+2 network of the paper's CIFAR section. Module names are those of
torchvision, so that its weights fit. A further depth is one row of DEPTHS and one function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kd.arguments import PositiveInt

__all__ = ["resnet8", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

Stem = Literal["cifar", "imagenet"]


def resnet8(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-8: one basic block per stage, a small student (4.9 M parameters at width 64)."""
    return _resnet("resnet8", num_classes, in_channels, stem, width)


def resnet18(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-18: two basic blocks per stage (11.2 M parameters)."""
    return _resnet("resnet18", num_classes, in_channels, stem, width)


def resnet34(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-34: 3, 4, 6, 3 basic blocks (21.3 M parameters)."""
    return _resnet("resnet34", num_classes, in_channels, stem, width)


def resnet50(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-50: 3, 4, 6, 3 bottleneck blocks (23.5 M parameters)."""
    return _resnet("resnet50", num_classes, in_channels, stem, width)


def resnet101(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-101: 3, 4, 23, 3 bottleneck blocks (42.5 M parameters)."""
    return _resnet("resnet101", num_classes, in_channels, stem, width)


def resnet152(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-152: 3, 8, 36, 3 bottleneck blocks (58.2 M parameters)."""
    return _resnet("resnet152", num_classes, in_channels, stem, width)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: [B, C_in, H, W] -> [B, width, H/stride, W/stride]."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu_(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut: [B, C_in, H, W] -> [B, 4 width, H/stride, W/stride]."""

    expansion: ClassVar[int] = 4

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

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu_(y + self.downsample(x))


class ResNet(nn.Module):
    """Stem, four stages that halve the image from the second on, average pooling, a linear classifier."""

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "layer1",
        "stage2": "layer2",
        "stage3": "layer3",
        "stage4": "layer4",
        "pooled": "flatten",
    }

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        *,
        num_classes: int,
        in_channels: int,
        width: int,
        stem: Stem,
    ) -> None:
        super().__init__()
        imagenet = stem == "imagenet"
        self.conv1 = nn.Conv2d(in_channels, width, *((7, 2, 3) if imagenet else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self.layer1 = _stage(block, width, width, blocks[0], stride=1)
        self.layer2 = _stage(block, width * block.expansion, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(block, 2 * width * block.expansion, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(block, 4 * width * block.expansion, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(8 * width * block.expansion, num_classes)
        _initialise(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(x)))
        return logits_BC


# name -> (block, blocks per stage)
DEPTHS: Mapping[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet8": (BasicBlock, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


def _resnet(name: str, num_classes: int, in_channels: int, stem: Stem, width: int) -> ResNet:
    block, blocks = DEPTHS[name]
    return ResNet(block, blocks, num_classes=num_classes, in_channels=in_channels, width=width, stem=stem)


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, width: int, count: int, stride: int
) -> nn.Sequential:
    first = block(in_channels, width, stride)
    rest = (block(width * block.expansion, width, 1) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


def _initialise(model: nn.Module) -> None:
    """He initialisation of the convolutions (arXiv:1502.01852); batch norm starts as the identity."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
