"""Mixing the images of a batch in pairs: mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899).

One share, one box and one permutation per batch, all a pure function of (seed, epoch, step). Images are mixed after
normalisation, on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from kd.data.hashing import integers_below, permutation, stream_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixing:
    """The parameters alpha of Beta(alpha, alpha), which shares are drawn from; of both, a fair coin picks per batch."""

    mixup: float | None = None
    cutmix: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Rows and columns of an image, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """How a batch is mixed: image i keeps ``share`` of itself and takes the rest from image ``partners[i]``.

    The rest is the inside of ``box``, or, without one, of every pixel its part.
    """

    partners: Tensor  # int64 [B], a permutation
    share: float
    box: Box | None


def draw_pairs(mixing: Mixing, *, size: int, image_size: int, seed: int, epoch: int, step: int) -> Pairs:
    """Return how to mix a batch of ``size`` images of ``image_size`` pixels a side."""
    place = (seed, epoch, step)
    partners = torch.from_numpy(permutation(stream_key("mixing partners", *place), size))
    chance = Random(stream_key("mixing share", *place))
    cut = mixing.mixup is None or (mixing.cutmix is not None and chance.random() < 0.5)
    alpha = mixing.cutmix if cut else mixing.mixup
    assert alpha is not None, "mixing without mixup and without cutmix"
    share = chance.betavariate(alpha, alpha)
    if not cut:
        return Pairs(partners=partners, share=share, box=None)
    row, column = integers_below(image_size, stream_key("mixing box", *place), 2).tolist()
    box = _box(image_size, share, row, column)
    area = (box.bottom - box.top) * (box.right - box.left)
    return Pairs(partners=partners, share=1 - area / image_size**2, box=box)


def mix_images(images_BCHW: Tensor, partners_BCHW: Tensor, pairs: Pairs) -> Tensor:
    """Return ``images`` mixed with their ``partners``; overwrites ``images``."""
    if pairs.box is None:
        return images_BCHW.mul_(pairs.share).add_(partners_BCHW, alpha=1 - pairs.share)
    rows, columns = slice(pairs.box.top, pairs.box.bottom), slice(pairs.box.left, pairs.box.right)
    images_BCHW[:, :, rows, columns] = partners_BCHW[:, :, rows, columns]
    return images_BCHW


def _box(image_size: int, share: float, row: int, column: int) -> Box:
    """Return the box around a pixel that leaves ``share`` of an image, cut off at its edges."""
    side = int(image_size * math.sqrt(1 - share))

    def ends(centre: int) -> tuple[int, int]:
        return max(centre - side // 2, 0), min(centre - side // 2 + side, image_size)

    (top, bottom), (left, right) = ends(row), ends(column)
    return Box(top=top, bottom=bottom, left=left, right=right)
