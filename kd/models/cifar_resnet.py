"""Residual networks of 6n+2 layers for 32x32 images (He et al. 2016, arXiv:1512.03385, section 4.2): three stages.

As in the published tables of distillation on CIFAR-100: widths 16, 32, 64, shortcuts of 1x1 convolutions where the
shape changes; ``x4`` has widths 64, 128, 256 behind a stem of 32. ``resnet8_cifar`` has n = 1 and 78 k parameters;
``resnet8`` without the suffix is another network, in ``kd.models.resnet``. A further depth is one function.
"""

from __future__ import annotations

from torch import nn

from kd.models.residual import BasicBlock, ResNet

__all__ = [
    "resnet8_cifar",
    "resnet8x4",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet32x4",
    "resnet44",
    "resnet56",
    "resnet110",
]


def resnet8_cifar(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-8 of the CIFAR kind (6n+2, n = 1; 78 k parameters): not the 4.9 M network called resnet8."""
    return _resnet(8, num_classes, in_channels)


def resnet14(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-14 for CIFAR (0.18 M parameters)."""
    return _resnet(14, num_classes, in_channels)


def resnet20(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-20 for CIFAR (0.27 M parameters)."""
    return _resnet(20, num_classes, in_channels)


def resnet32(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-32 for CIFAR (0.47 M parameters)."""
    return _resnet(32, num_classes, in_channels)


def resnet44(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-44 for CIFAR (0.66 M parameters)."""
    return _resnet(44, num_classes, in_channels)


def resnet56(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-56 for CIFAR (0.86 M parameters)."""
    return _resnet(56, num_classes, in_channels)


def resnet110(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-110 for CIFAR (1.7 M parameters)."""
    return _resnet(110, num_classes, in_channels)


def resnet8x4(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-8 for CIFAR, four times as wide (1.2 M parameters)."""
    return _resnet(8, num_classes, in_channels, stem_width=32, width=64)


def resnet32x4(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """ResNet-32 for CIFAR, four times as wide (7.4 M parameters)."""
    return _resnet(32, num_classes, in_channels, stem_width=32, width=64)


def _resnet(depth: int, num_classes: int, in_channels: int, *, stem_width: int = 16, width: int = 16) -> ResNet:
    blocks, rest = divmod(depth - 2, 6)
    assert rest == 0, f"{depth} is not 6n+2"
    return ResNet(
        BasicBlock,
        [blocks] * 3,
        num_classes=num_classes,
        in_channels=in_channels,
        width=width,
        stem_width=stem_width,
    )
