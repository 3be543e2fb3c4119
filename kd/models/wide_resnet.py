"""Wide residual networks for 32x32 images (Zagoruyko and Komodakis 2016, arXiv:1605.07146): WRN-depth-width.

Batch norm and activation come before each convolution, so the stage taps are sums that no activation has cut, as in the
published tables of distillation on CIFAR-100. The taps before the activation are those sums after the next batch norm,
as OFD and ReviewKD have them. A further size is one function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from kd.arguments import Fraction
from kd.models.backbone import Preactivation, initialise_convolutions

__all__ = ["wrn16_1", "wrn16_2", "wrn28_10", "wrn40_1", "wrn40_2"]


def wrn16_1(num_classes: int, in_channels: int, image_size: int, *, dropout: Fraction = 0.0) -> nn.Module:
    """WRN-16-1: 16 layers of the base width (0.18 M parameters)."""
    return WideResNet(16, 1, num_classes, in_channels, dropout)


def wrn16_2(num_classes: int, in_channels: int, image_size: int, *, dropout: Fraction = 0.0) -> nn.Module:
    """WRN-16-2: 16 layers, twice the width (0.69 M parameters)."""
    return WideResNet(16, 2, num_classes, in_channels, dropout)


def wrn40_1(num_classes: int, in_channels: int, image_size: int, *, dropout: Fraction = 0.0) -> nn.Module:
    """WRN-40-1: 40 layers of the base width (0.56 M parameters)."""
    return WideResNet(40, 1, num_classes, in_channels, dropout)


def wrn40_2(num_classes: int, in_channels: int, image_size: int, *, dropout: Fraction = 0.0) -> nn.Module:
    """WRN-40-2: 40 layers, twice the width (2.2 M parameters)."""
    return WideResNet(40, 2, num_classes, in_channels, dropout)


def wrn28_10(num_classes: int, in_channels: int, image_size: int, *, dropout: Fraction = 0.0) -> nn.Module:
    """WRN-28-10: 28 layers, ten times the width (36.5 M parameters)."""
    return WideResNet(28, 10, num_classes, in_channels, dropout)


class WideBlock(nn.Module):
    """Batch norm, ReLU, 3x3 convolution, twice, and a shortcut: [B, C_in, H, W] -> [B, C_out, H/stride, W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        same = in_channels == out_channels
        self.shortcut = None if same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next. Where the shape changes, the shortcut starts from the activated input."""
        activated = self.relu(self.bn1(x))
        y: Tensor = self.conv2(self.dropout(self.relu(self.bn2(self.conv1(activated)))))
        return y + (x if self.shortcut is None else self.shortcut(activated))


class WideResNet(nn.Module):
    """Stem, three stages, batch norm, ReLU, average pooling, a linear classifier. ``depth`` is 6n+4."""

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "block1",
        "stage2": "block2",
        "stage3": "block3",
        "pooled": "flatten",
    }
    preactivation_taps: ClassVar[Mapping[str, Preactivation]] = {
        "stage1": Preactivation("block2.0.bn1", "block2.0.bn1"),
        "stage2": Preactivation("block3.0.bn1", "block3.0.bn1"),
        "stage3": Preactivation("bn1", "bn1"),
    }

    def __init__(self, depth: int, width: int, num_classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        assert rest == 0, f"{depth} is not 6n+4"
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.block1 = _stage(16, 16 * width, blocks, 1, dropout)
        self.block2 = _stage(16 * width, 32 * width, blocks, 2, dropout)
        self.block3 = _stage(32 * width, 64 * width, blocks, 2, dropout)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64 * width, num_classes)
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.block3(self.block2(self.block1(self.conv1(images_BCHW))))
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(self.relu(self.bn1(x)))))
        return logits_BC


def _stage(in_channels: int, out_channels: int, count: int, stride: int, dropout: float) -> nn.Sequential:
    first = WideBlock(in_channels, out_channels, stride, dropout)
    return nn.Sequential(first, *(WideBlock(out_channels, out_channels, 1, dropout) for _ in range(count - 1)))
