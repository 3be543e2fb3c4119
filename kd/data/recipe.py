"""The random changes of ImageNet recipes, drawn for every image of an epoch: crops, colours, policies, erased boxes.

Each number is a pure function of (seed, view, image), drawn on the CPU for a whole epoch and sent to the device once.
Distributions are those of torchvision's classes of the same names, which tests compare with. Several changes of one
image come one after the other in *slots*; a slot says which operation an image gets, and how strong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kd.data.hashing import integers_below, stream_key, uniform
from kd.data.image_operations import GEOMETRIC, PHOTOMETRIC, geometric_matrices, moved, resized_crops

Numbers: TypeAlias = NDArray[np.float64]

ATTEMPTS = 10  # boxes drawn until one fits, as torchvision does
CROP_RATIOS, ERASED_RATIOS, ERASED_AREA = (3 / 4, 4 / 3), (0.3, 3.3), (0.02, 0.33)
JITTERED = ("brightness", "contrast", "saturation")
POLICY = ("identity", *GEOMETRIC, *PHOTOMETRIC)
BINS = 30  # strengths of a policy run from 0 to this
RAND_AUGMENT_OPERATIONS = 2
_SIGNED = (*GEOMETRIC, *JITTERED, "sharpness")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Which random changes are asked for; all are off by default."""

    resized_crop: float = 0.0  # least share of the area that a crop keeps (RandomResizedCrop); 0: off
    color_jitter: float = 0.0  # brightness, contrast and saturation change by up to this share
    trivial_augment: bool = False  # one operation of any strength (arXiv:2103.10158)
    rand_augment: int = 0  # the strength, of 30, of two operations (arXiv:1909.13719); 0: off
    erase: float = 0.0  # how often a box is blanked (arXiv:1708.04896)


OFF = Recipe()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Slot:
    """One change of each of N images: ``chosen`` [N] counts into ``names``, ``magnitude`` [N] is its strength."""

    names: tuple[str, ...]
    chosen: Tensor  # int64 [N]
    magnitude: Tensor  # float32 [N]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Changes:
    """How a recipe changes each of N images. Boxes are (top, left, height, width) in pixels."""

    crops: Tensor | None = None  # int64 [N, 4]
    slots: tuple[Slot, ...] = ()
    erased: Tensor | None = None  # int64 [N, 4]; no height: nothing is erased

    def to(self, device: torch.device | str) -> Changes:
        """Return the same changes on a device."""
        return Changes(
            crops=None if self.crops is None else self.crops.to(device),
            slots=tuple(
                replace(slot, chosen=slot.chosen.to(device), magnitude=slot.magnitude.to(device)) for slot in self.slots
            ),
            erased=None if self.erased is None else self.erased.to(device),
        )


def draw_changes(recipe: Recipe, count: int, *, size: int, seed: int, view: int) -> Changes:
    """Return how view number ``view`` changes each of ``count`` images of ``size`` pixels a side, on the CPU."""
    draws = _Draws(count, seed, view)
    slots = []
    if recipe.trivial_augment:
        slots.append(_policy_slot(draws, "trivial", size, wide=True))
    if recipe.rand_augment:
        slots += [
            _policy_slot(draws, f"rand {number}", size, strength=recipe.rand_augment)
            for number in range(RAND_AUGMENT_OPERATIONS)
        ]
    if recipe.color_jitter:
        slots += _jitter_slots(draws, recipe.color_jitter)
    return Changes(
        crops=_crops(draws, size, recipe.resized_crop) if recipe.resized_crop else None,
        slots=tuple(slots),
        erased=_erased(draws, size, recipe.erase) if recipe.erase else None,
    )


def change(images: Tensor, changes: Changes, indices_B: Tensor) -> Tensor:
    """Return the images [B, C, H, W], float32 in 0..1, cropped and changed as drawn for ``indices``; not yet erased."""
    if changes.crops is not None:
        images = resized_crops(images, changes.crops.index_select(0, indices_B))
    for slot in changes.slots:
        images = _changed(images, slot, indices_B)
    return images


def blank(changes: Changes, indices_B: Tensor, size: int) -> Tensor | None:
    """Return which pixels [B, 1, H, W] are erased, or None where nothing ever is."""
    if changes.erased is None:
        return None
    top, left, height, width = changes.erased.index_select(0, indices_B).T[:, :, None]
    pixels = torch.arange(size, device=indices_B.device)
    rows, columns = (pixels >= top) & (pixels < top + height), (pixels >= left) & (pixels < left + width)
    erased: Tensor = rows[:, None, :, None] & columns[:, None, None, :]
    return erased


def _changed(images: Tensor, slot: Slot, indices_B: Tensor) -> Tensor:
    """Do every operation of a slot to all images and keep each image's own: no shape depends on what was drawn."""
    chosen, magnitude = slot.chosen.index_select(0, indices_B), slot.magnitude.index_select(0, indices_B)
    result = images
    if any(name in GEOMETRIC for name in slot.names):
        result = moved(images, geometric_matrices(slot.names, chosen, magnitude, images.shape[-1]))
    for number, name in enumerate(slot.names):
        if name in PHOTOMETRIC:
            own = (chosen == number)[:, None, None, None]
            result = torch.where(own, PHOTOMETRIC[name](images, magnitude), result)
    return result


@dataclass(frozen=True)
class _Draws:
    """The random numbers of one view, by purpose."""

    count: int
    seed: int
    view: int

    def below(self, limit: int, purpose: str) -> NDArray[np.int64]:
        return integers_below(limit, stream_key(purpose, self.seed, self.view), self.count)

    def between(self, low: float, high: float, purpose: str) -> Numbers:
        return low + (high - low) * uniform(stream_key(purpose, self.seed, self.view), self.count)


def _policy_slot(draws: _Draws, purpose: str, size: int, *, wide: bool = False, strength: int | None = None) -> Slot:
    """Return one operation per image, of any strength or of the one given, one way or the other."""
    chosen = draws.below(len(POLICY), f"{purpose} operation")
    bins = draws.below(BINS + 1, f"{purpose} strength") if strength is None else np.full(draws.count, strength)
    signs = 1 - 2 * draws.below(2, f"{purpose} sign")
    magnitude = np.zeros(draws.count)
    for number, name in enumerate(POLICY):
        own = chosen == number
        signed = signs[own] if name in _SIGNED else 1
        magnitude[own] = _strength(name, bins[own], size, wide=wide) * signed + (name in (*JITTERED, "sharpness"))
    return _slot(POLICY, chosen, magnitude)


def _strength(name: str, bins: NDArray[np.int64], size: int, *, wide: bool) -> Numbers:
    """Return the strengths of an operation at bins 0..30: the spaces of TrivialAugmentWide, or of RandAugment."""
    share = bins / BINS
    if name.startswith("shear"):
        return share * (0.99 if wide else 0.3)
    if name.startswith("translate"):
        return np.trunc(share * (32.0 if wide else 150 / 331 * size))
    if name == "posterize":
        return 8 - np.round(share * (6 if wide else 4))
    spans = {"rotate": math.radians(135 if wide else 30), "solarize": -1.0, "identity": 0.0}
    return share * spans.get(name, 0.99 if wide else 0.9) + (name == "solarize")


def _jitter_slots(draws: _Draws, jitter: float) -> list[Slot]:
    """Return three slots that change brightness, contrast and saturation, in an order drawn for each image."""
    factors = np.stack([draws.between(max(0.0, 1 - jitter), 1 + jitter, f"jitter {name}") for name in JITTERED])
    order = np.argsort([draws.between(0, 1, f"jitter order {name}") for name in JITTERED], axis=0)
    return [_slot(JITTERED, chosen, np.take_along_axis(factors, chosen[None], axis=0)[0]) for chosen in order]


def _slot(names: tuple[str, ...], chosen: NDArray[np.int64], magnitude: Numbers) -> Slot:
    return Slot(names=names, chosen=torch.from_numpy(chosen), magnitude=torch.from_numpy(magnitude.astype(np.float32)))


def _crops(draws: _Draws, size: int, least: float) -> Tensor:
    """Return RandomResizedCrop's boxes; the whole image where none of ten fits."""
    height, width, fits = _boxes(draws, "resized crop", size, (least, 1.0), CROP_RATIOS, largest=size)
    height, width = np.where(fits, height, size), np.where(fits, width, size)
    return _placed(draws, "resized crop", size, height, width)


def _erased(draws: _Draws, size: int, share: float) -> Tensor:
    """Return RandomErasing's boxes; no height where chance, or none of ten that fits, leaves the image whole."""
    height, width, fits = _boxes(draws, "erase", size, ERASED_AREA, ERASED_RATIOS, largest=size - 1)
    erased = fits & (draws.between(0, 1, "erase at all") < share)
    return _placed(draws, "erase", size, np.where(erased, height, 0), np.where(erased, width, 0))


def _boxes(
    draws: _Draws,
    purpose: str,
    size: int,
    areas: tuple[float, float],
    ratios: tuple[float, float],
    *,
    largest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the first box of ten that fits: heights, widths, and whether one did."""
    height, width = np.zeros(draws.count, dtype=np.int64), np.zeros(draws.count, dtype=np.int64)
    found = np.zeros(draws.count, dtype=bool)
    for attempt in range(ATTEMPTS):
        area = draws.between(*areas, f"{purpose} area {attempt}") * size * size
        ratio = np.exp(draws.between(math.log(ratios[0]), math.log(ratios[1]), f"{purpose} ratio {attempt}"))
        tall, wide = np.round(np.sqrt(area / ratio)).astype(np.int64), np.round(np.sqrt(area * ratio)).astype(np.int64)
        fits = ~found & (tall > 0) & (wide > 0) & (tall <= largest) & (wide <= largest)
        height, width, found = np.where(fits, tall, height), np.where(fits, wide, width), found | fits
    return height, width, found


def _placed(draws: _Draws, purpose: str, size: int, height: NDArray[np.int64], width: NDArray[np.int64]) -> Tensor:
    """Return boxes of these sizes, each anywhere inside the image."""
    top = np.floor(draws.between(0, 1, f"{purpose} row") * (size - height + 1)).astype(np.int64)
    left = np.floor(draws.between(0, 1, f"{purpose} column") * (size - width + 1)).astype(np.int64)
    return torch.from_numpy(np.stack([top, left, height, width], axis=1))
