"""Images made on the spot: every class a smooth random pattern, shifted and noisy. For tests and trials."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kd.arguments import NonNegativeFloat, NonNegativeInt, PositiveInt
from kd.data.arrays import ImageArrays, channel_statistics

__all__ = ["synthetic"]

_PATCHES = 4  # a pattern is this many random values each way, interpolated
_CONTRAST = 48  # deviation of the pixel values around the middle grey


def synthetic(
    root: Path | None,
    *,
    classes: PositiveInt = 10,
    size: PositiveInt = 32,
    channels: PositiveInt = 3,
    train: PositiveInt = 2000,
    test: PositiveInt = 500,
    noise: NonNegativeFloat = 2.0,
    seed: NonNegativeInt = 0,
) -> ImageArrays:
    """Noisy, shifted class patterns made on the spot; needs no files.

    ``root`` is not used. ``noise`` is the deviation of the noise, where the patterns have deviation 1; shifts
    go up to an eighth of the image, cyclically. Classes are balanced. The same arguments give the same
    images.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(classes, channels, _PATCHES, _PATCHES, generator=generator)
    patterns = interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    patterns = patterns / patterns.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    labels = torch.arange(train + test) % classes
    images = _shift(patterns[labels], size // 8, generator)
    images += noise * torch.randn(images.shape, generator=generator)
    images *= _CONTRAST / (1 + noise**2) ** 0.5
    pixels = (images + 128).round().clamp(0, 255).to(torch.uint8)
    mean, std = channel_statistics(pixels[:train])
    return ImageArrays(
        train_images=pixels[:train],
        train_labels=labels[:train],
        test_images=pixels[train:],
        test_labels=labels[train:],
        classes=tuple(f"class {number}" for number in range(classes)),
        mean=mean,
        std=std,
    )


def _shift(images_NCHW: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Return each image moved cyclically by up to ``limit`` pixels each way."""
    count, _, height, width = images_NCHW.shape
    moves = torch.randint(-limit, limit + 1, (2, count, 1), generator=generator)
    rows = (torch.arange(height) + moves[0]) % height
    columns = (torch.arange(width) + moves[1]) % width
    images = torch.arange(count)[:, None, None]
    return images_NCHW[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
