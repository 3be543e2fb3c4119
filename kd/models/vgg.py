"""VGG for small images (Simonyan and Zisserman 2015, arXiv:1409.1556): batch norm, one linear layer as classifier.

As in the published tables of distillation on CIFAR-100: five blocks, three poolings between the first four, a fourth
one only for images of 64 pixels and more. The first block counts as the stem: the stage taps are the other four, each
after its last activation and before pooling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from kd.models.backbone import Preactivation, initialise_convolutions

__all__ = ["vgg8", "vgg11", "vgg13", "vgg16", "vgg19"]

WIDTHS = (64, 128, 256, 512, 512)


def vgg8(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """VGG-8: one convolution per block (3.9 M parameters)."""
    return VGG((1, 1, 1, 1, 1), num_classes, in_channels, image_size)


def vgg11(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """VGG-11: one convolution in the first two blocks, then two (9.2 M parameters)."""
    return VGG((1, 1, 2, 2, 2), num_classes, in_channels, image_size)


def vgg13(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """VGG-13: two convolutions per block (9.4 M parameters)."""
    return VGG((2, 2, 2, 2, 2), num_classes, in_channels, image_size)


def vgg16(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """VGG-16: two convolutions in the first two blocks, then three (14.7 M parameters)."""
    return VGG((2, 2, 3, 3, 3), num_classes, in_channels, image_size)


def vgg19(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """VGG-19: two convolutions in the first two blocks, then four (20.0 M parameters)."""
    return VGG((2, 2, 4, 4, 4), num_classes, in_channels, image_size)


class VGG(nn.Module):
    """Five blocks of so many ``convolutions``, global average pooling, a linear classifier."""

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "block1",
        "stage2": "block2",
        "stage3": "block3",
        "stage4": "block4",
        "pooled": "flatten",
    }

    def __init__(self, convolutions: Sequence[int], num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        channels = [in_channels, *WIDTHS]
        self.block0, self.block1, self.block2, self.block3, self.block4 = (
            _block(channels[number], channels[number + 1], count) for number, count in enumerate(convolutions)
        )
        self.pool = nn.MaxPool2d(2)
        self.last_pool = nn.MaxPool2d(2) if image_size >= 64 else nn.Identity()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(WIDTHS[-1], num_classes)
        norms = {number: f"block{number}.{3 * count - 2}" for number, count in enumerate(convolutions)}
        self.preactivation_taps = {
            f"stage{number}": Preactivation(norms[number], norms[number]) for number in range(1, 5)
        }
        initialise_convolutions(self)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.block1(self.pool(self.block0(images_BCHW)))
        x = self.block3(self.pool(self.block2(self.pool(x))))
        x = self.block4(self.last_pool(x))
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(x)))
        return logits_BC


def _block(in_channels: int, out_channels: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(convolutions):
        layers += [
            nn.Conv2d(out_channels if number else in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
