"""Residual networks of four stages, with a stem for 32x32 images or for ImageNet (He et al. 2016, arXiv:1512.03385).

The CIFAR stem is one 3x3 convolution of stride 1 without max-pooling. ``resnet8`` is ResNet-18 with one block per stage
([1, 1, 1, 1], 4.9 M parameters), not the 78 k network of the paper's CIFAR section: that is ``resnet8_cifar``, in
``kd.models.cifar_resnet``. A further depth is one row of DEPTHS and one function.

``pretrained``: true (the ImageNet weights of torchvision, IMAGENET1K_V1, in torch's cache) or a file of weights; they
fit at width 64 only. ``freeze_backbone`` trains the classifier alone, and the stem where it had to be adapted.
``resize`` enlarges the images inside the network: a teacher of 224 pixels and a student of 32 then see the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from torch import nn

from kd.arguments import PositiveInt
from kd.models.backbone import Stem, enlarger
from kd.models.pretrained import start_from, torchvision_file
from kd.models.residual import BasicBlock, Block, Bottleneck, ResNet

__all__ = ["resnet8", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

# name -> (block, blocks per stage)
DEPTHS: Mapping[str, tuple[Block, Sequence[int]]] = {
    "resnet8": (BasicBlock, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


def resnet8(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
) -> nn.Module:
    """ResNet-8: one basic block per stage, a small student (4.9 M parameters at width 64)."""
    return _resnet("resnet8", num_classes, in_channels, image_size, stem=stem, width=width)


def resnet18(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ResNet-18: two basic blocks per stage (11.2 M parameters)."""
    model = _resnet("resnet18", num_classes, in_channels, image_size, stem=stem, width=width, resize=resize)
    return _started(model, "ResNet18_Weights", pretrained, freeze_backbone)


def resnet34(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ResNet-34: 3, 4, 6, 3 basic blocks (21.3 M parameters)."""
    model = _resnet("resnet34", num_classes, in_channels, image_size, stem=stem, width=width, resize=resize)
    return _started(model, "ResNet34_Weights", pretrained, freeze_backbone)


def resnet50(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ResNet-50: 3, 4, 6, 3 bottleneck blocks (23.5 M parameters)."""
    model = _resnet("resnet50", num_classes, in_channels, image_size, stem=stem, width=width, resize=resize)
    return _started(model, "ResNet50_Weights", pretrained, freeze_backbone)


def resnet101(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ResNet-101: 3, 4, 23, 3 bottleneck blocks (42.5 M parameters)."""
    model = _resnet("resnet101", num_classes, in_channels, image_size, stem=stem, width=width, resize=resize)
    return _started(model, "ResNet101_Weights", pretrained, freeze_backbone)


def resnet152(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveInt = 64,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ResNet-152: 3, 8, 36, 3 bottleneck blocks (58.2 M parameters)."""
    model = _resnet("resnet152", num_classes, in_channels, image_size, stem=stem, width=width, resize=resize)
    return _started(model, "ResNet152_Weights", pretrained, freeze_backbone)


def _resnet(
    name: str,
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Stem,
    width: int,
    resize: int | None = None,
) -> ResNet:
    block, blocks = DEPTHS[name]
    return ResNet(
        block,
        blocks,
        num_classes=num_classes,
        in_channels=in_channels,
        width=width,
        stem=stem,
        enlarge=enlarger(image_size, resize),
    )


def _started(model: ResNet, weights: str, pretrained: bool | str, freeze_backbone: bool) -> ResNet:
    published = partial(torchvision_file, f"{weights}.IMAGENET1K_V1")
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=published)
    return model
