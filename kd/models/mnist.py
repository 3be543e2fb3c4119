"""The three networks of the HPM-KD plan on MNIST, as the plan draws them and at the sizes it states.

The plan's drawings and its parameter counts disagree. A name without a size is the network as drawn; a name that ends
in a size is a network of the stated size, with a small change that gives it:

    resnet18_mnist   11.17 M as drawn  |  resnet18_mnist_4m     4.25 M: 18 layers in three stages (2, 3, 3 blocks)
    depthwise_mnist  0.274 M as drawn  |  depthwise_mnist_400k  0.411 M: two more blocks 256 -> 256
    simplecnn_mnist  0.131 M as drawn  |  simplecnn_mnist_50k   0.050 M: half the channels, 120 hidden units

The plan calls its student "MobileNet-V2"; drawn are the plain depthwise-separable blocks of MobileNet-V1
(arXiv:1704.04861), hence the name here. ``width`` makes teaching assistants between teacher and student.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from kd.arguments import PositiveInt
from kd.errors import SpecError
from kd.models.backbone import Preactivation, initialise_convolutions
from kd.models.residual import BasicBlock, ResNet

__all__ = [
    "depthwise_mnist",
    "depthwise_mnist_400k",
    "resnet18_mnist",
    "resnet18_mnist_4m",
    "simplecnn_mnist",
    "simplecnn_mnist_50k",
]


def resnet18_mnist(num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 64) -> nn.Module:
    """ResNet-18 as the MNIST plan draws it (11.17 M parameters; the plan says 4.2 M)."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes=num_classes, in_channels=in_channels, width=width)


def resnet18_mnist_4m(num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 64) -> nn.Module:
    """ResNet-18 in three stages, of the size that the MNIST plan states (4.25 M parameters)."""
    return ResNet(BasicBlock, (2, 3, 3), num_classes=num_classes, in_channels=in_channels, width=width)


def depthwise_mnist(num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 32) -> nn.Module:
    """Depthwise-separable student as the MNIST plan draws it (0.274 M parameters; the plan says 0.4 M)."""
    return DepthwiseNet(num_classes, in_channels, width, blocks_at_256=1)


def depthwise_mnist_400k(num_classes: int, in_channels: int, image_size: int, *, width: PositiveInt = 32) -> nn.Module:
    """Depthwise-separable student of the size that the MNIST plan states (0.411 M parameters)."""
    return DepthwiseNet(num_classes, in_channels, width, blocks_at_256=3)


def simplecnn_mnist(num_classes: int, in_channels: int, image_size: int, *, batch_norm: bool = False) -> nn.Module:
    """SimpleCNN as the MNIST plan draws it (0.131 M parameters; the plan says 50 k).

    Without batch norm the plan's learning rate of 0.1 may diverge.
    """
    return SimpleCNN(num_classes, in_channels, image_size, (32, 64, 64), 128, batch_norm)


def simplecnn_mnist_50k(num_classes: int, in_channels: int, image_size: int, *, batch_norm: bool = False) -> nn.Module:
    """SimpleCNN of the size that the MNIST plan states (49,938 parameters)."""
    return SimpleCNN(num_classes, in_channels, image_size, (16, 32, 32), 120, batch_norm)


class DepthwiseNet(nn.Module):
    """A 3x3 convolution, depthwise-separable blocks from ``width`` to 16 ``width``, average pooling, a classifier.

    Taps: ``stage1`` ... are the last maps of each size (28, 14, 7 and 4 pixels of an image of 28).
    """

    def __init__(self, num_classes: int, in_channels: int, width: int, blocks_at_256: int) -> None:
        super().__init__()
        channels = [width * factor for factor in (1, 2, 4, 4, 8, *[8] * blocks_at_256, 16)]
        halving = {1, 3, len(channels) - 2}  # blocks 32 -> 64 -> 128 (the second halves), 128 -> 256 and 256 -> 512
        self.conv1 = _convolution(in_channels, width, 1)
        self.blocks = nn.Sequential(
            *(_separable(*pair, 2 if number in halving else 1) for number, pair in enumerate(pairwise(channels)))
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels[-1], num_classes)
        ends = [*(number - 1 for number in sorted(halving)), len(channels) - 2]
        stages = {f"stage{number}": f"blocks.{end}" for number, end in enumerate(ends, start=1)}
        self.feature_taps: Mapping[str, str] = {**stages, "pooled": "flatten"}
        self.preactivation_taps = {stage: Preactivation(f"{end}.2", f"{end}.2") for stage, end in stages.items()}
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits_BC: Tensor = self.fc(self.flatten(self.avgpool(self.blocks(self.conv1(images_BCHW)))))
        return logits_BC


class SimpleCNN(nn.Module):
    """Three 3x3 convolutions with ReLU and 2x2 max-pooling, a hidden layer, a classifier.

    Raises SpecError when three poolings leave nothing of the image.
    """

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "blocks.0",
        "stage2": "blocks.1",
        "stage3": "blocks.2",
        "pooled": "hidden",
    }

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        channels: Sequence[int],
        hidden: int,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        side = image_size >> len(channels)
        if side < 1:
            raise SpecError([f"simplecnn: {len(channels)} poolings halve a {image_size}-pixel image away"])
        pairs = pairwise([in_channels, *channels])
        self.blocks = nn.Sequential(*(_pooled_convolution(*pair, batch_norm) for pair in pairs))
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(channels[-1] * side**2, hidden), nn.ReLU(inplace=True))
        self.fc = nn.Linear(hidden, num_classes)
        self.preactivation_taps = {
            f"stage{number + 1}": Preactivation(f"blocks.{number}.{int(batch_norm)}", _norm(number, batch_norm))
            for number in range(len(channels))
        }
        initialise_convolutions(self)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits_BC: Tensor = self.fc(self.hidden(self.blocks(images_BCHW)))
        return logits_BC


def _norm(block: int, batch_norm: bool) -> str | None:
    return f"blocks.{block}.1" if batch_norm else None


def _convolution(in_channels: int, out_channels: int, stride: int, *, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return a depthwise 3x3 and a pointwise 1x1 convolution, each with batch norm and ReLU."""
    return nn.Sequential(
        _convolution(in_channels, in_channels, stride, groups=in_channels),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _pooled_convolution(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        *([nn.BatchNorm2d(out_channels)] if batch_norm else []),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
