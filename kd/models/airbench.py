"""A network made to learn CIFAR-10 in seconds: airbench94 of Jordan 2024 (arXiv:2404.00498), from its published ideas.

Its first convolution whitens 2x2 patches: it is computed from training images, and stays as it is. Later convolutions
begin as the identity on the channels they are given. Norms have offsets only; jobs/fast_cifar10.yaml trains these
faster than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.arguments import PositiveFloat, PositiveInt
from kd.errors import SpecError
from kd.models.backbone import Preactivation

__all__ = ["airbench94"]

PATCH = 2  # pixels a side of what is whitened
VARIANCE = 5e-4  # added to each, so that directions in which patches hardly differ are not blown up
NEWEST = 0.4  # share of a batch's statistics in the running ones: a training has few batches
LEAST_SIZE = 16


def airbench94(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    width: PositiveInt = 64,
    logit_scale: PositiveFloat = 0.111,
) -> nn.Module:
    """Whitened patches and three blocks of two convolutions: width, 4 and 4 times the width (1.97 M parameters).

    For images of 16 pixels a side and more; raises SpecError for smaller ones.
    """
    if image_size < LEAST_SIZE:
        raise SpecError([f"airbench94: needs images of {LEAST_SIZE} pixels a side, not {image_size}"])
    return Airbench(num_classes, in_channels, width, logit_scale)


class Airbench(nn.Module):
    """``look_at`` images before training; then images [B, C, H, W] to logits."""

    feature_taps: ClassVar[Mapping[str, str]] = {
        "stage1": "blocks.0",
        "stage2": "blocks.1",
        "stage3": "blocks.2",
        "pooled": "flatten",
    }
    preactivation_taps: ClassVar[Mapping[str, Preactivation]] = {
        f"stage{number}": Preactivation(f"blocks.{number - 1}.5", f"blocks.{number - 1}.5") for number in (1, 2, 3)
    }

    def __init__(self, num_classes: int, in_channels: int, width: int, logit_scale: float) -> None:
        super().__init__()
        patches = 2 * in_channels * PATCH**2
        self.whiten = nn.Conv2d(in_channels, patches, PATCH)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]
        self.activation = nn.GELU()
        channels = (patches, width, 4 * width, 4 * width)
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(channels)))
        self.flatten = Largest()
        self.fc = nn.Linear(channels[-1], num_classes, bias=False)
        self.logit_scale = logit_scale

    @torch.no_grad()
    def look_at(self, images_BCHW: Tensor) -> None:
        """Set the first convolution to whiten patches of these images: each direction, and its negative."""
        patches = F.unfold(images_BCHW.double().cpu(), PATCH).transpose(1, 2).flatten(0, 1)
        centred = patches - patches.mean(0)
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
        filters = (directions / (variances + VARIANCE).sqrt()).T
        self.whiten.weight.copy_(torch.cat([filters, -filters]).view_as(self.whiten.weight))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        x = self.blocks(self.activation(self.whiten(images_BCHW)))
        logits_BC: Tensor = self.fc(self.flatten(x)) * self.logit_scale
        return logits_BC


class Largest(nn.Module):
    """The largest value of each channel. torch's adaptive pooling has no deterministic form on GPUs."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return [B, C]."""
        return maps_BCHW.amax((2, 3))


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(in_channels, out_channels),
        nn.MaxPool2d(2),
        _norm(out_channels),
        nn.GELU(),
        _convolution(out_channels, out_channels),
        _norm(out_channels),
        nn.GELU(),
    )


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: min(in_channels, out_channels)])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=NEWEST)
    norm.weight.requires_grad_(False)
    return norm
