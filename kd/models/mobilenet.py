"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), with strides for 32x32 images or for ImageNet.

The CIFAR strides are those of ImageNet with the first two halvings left out; parameters do not change. Module names are
those of torchvision, so that its weights fit (at width 1).
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn

from kd.arguments import Fraction, PositiveFloat, PositiveInt
from kd.models.backbone import Backbone, Parts, Preactivation, Stem, enlarger, initialise_convolutions
from kd.models.pretrained import start_from, torchvision_file

__all__ = ["mobilenet_v2"]


class Stage(NamedTuple):
    """One row of the paper's table 2: so many blocks, the first of which has the stride."""

    expansion: int
    channels: int
    blocks: int
    imagenet_stride: int
    cifar_stride: int


STAGES = (
    Stage(1, 16, 1, 1, 1),
    Stage(6, 24, 2, 2, 1),
    Stage(6, 32, 3, 2, 2),
    Stage(6, 64, 4, 2, 2),
    Stage(6, 96, 3, 1, 1),
    Stage(6, 160, 3, 2, 2),
    Stage(6, 320, 1, 1, 1),
)


def mobilenet_v2(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: PositiveFloat = 1.0,
    dropout: Fraction = 0.0,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """MobileNetV2: 17 inverted residuals, a small student (2.2 M parameters at width 1).

    ``width`` multiplies all channels, ``dropout`` acts before the classifier. ``resize``, ``pretrained`` and
    ``freeze_backbone`` are those of ``kd.models.resnet``.
    """
    model = MobileNetV2(
        num_classes,
        in_channels,
        stem=stem,
        width=width,
        dropout=dropout,
        enlarge=enlarger(image_size, resize),
    )
    published = partial(torchvision_file, "MobileNet_V2_Weights.IMAGENET1K_V1")
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=published)
    return model


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *([_convolution(in_channels, hidden, 1)] if expansion > 1 else []),
            _convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map one feature map to the next."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class MobileNetV2(Backbone):
    """Convolutions, average pooling, dropout, a linear classifier.

    Taps: ``stage1`` to ``stage3`` before the halvings that both kinds of strides have, ``stage4`` after the last block.
    """

    parts: Parts = Parts(first_convolution="features.0.0", stem=("features.0",), classifier="classifier.1")

    def __init__(
        self, num_classes: int, in_channels: int, *, stem: Stem, width: float, dropout: float, enlarge: nn.Module
    ) -> None:
        super().__init__()
        imagenet, channels = stem == "imagenet", _scaled(32, width)
        layers: list[nn.Module] = [_convolution(in_channels, channels, 3, 2 if imagenet else 1)]
        for stage in STAGES:
            wide, stride = _scaled(stage.channels, width), stage.imagenet_stride if imagenet else stage.cifar_stride
            for number in range(stage.blocks):
                layers.append(InvertedResidual(channels, wide, stage.expansion, 1 if number else stride))
                channels = wide
        last = _scaled(1280, max(1.0, width))
        self.enlarge = enlarge
        self.features = nn.Sequential(*layers, _convolution(channels, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        ends = {"stage1": 3, "stage2": 6, "stage3": 13, "stage4": 17}
        self.feature_taps = {name: f"features.{end}" for name, end in ends.items()} | {"pooled": "flatten"}
        self.preactivation_taps = {  # blocks end without an activation
            name: Preactivation(f"features.{end}", f"features.{end}.conv.3") for name, end in ends.items()
        }
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.flatten(self.avgpool(self.features(self.enlarge(images_BCHW))))
        logits_BC: Tensor = self.classifier(x)
        return logits_BC


def _convolution(in_channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def _scaled(channels: int, width: float) -> int:
    """Return the multiple of 8 nearest to channels x width, but never less than nine tenths of it."""
    nearest = max(8, int(channels * width + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels * width else nearest + 8
