"""Rendered frames of an RGB and an infrared camera, of smoke and fire: synthetic, as its name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kd.arguments import Fraction, NonNegativeInt, PositiveInt
from kd.data.arrays import ImageArrays
from kd.data.frames import frame_arrays
from kd.data.hashing import integers_below, stream_key
from kd.data.scenes import render_scene

__all__ = ["synthetic_rgb_ir"]


def synthetic_rgb_ir(
    root: Path | None,
    *,
    images: PositiveInt = 2000,
    size: PositiveInt = 64,
    seed: NonNegativeInt = 0,
    wrong: Fraction = 0.0,
    labels: list[Literal["fire", "smoke", "fog", "tarp", "engine"]] = ["fire", "smoke"],  # noqa: B006 (read as text)
) -> ImageArrays:
    """Rendered RGB and infrared frames of smoke and fire, several labels per image; needs no files.

    ``root`` is not used. Modalities: rgb (3 channels) and ir (1). ``labels`` are what of a scene is labelled (see
    ``kd.data.scenes``). Of ``images`` frames 30 % are the test part. ``wrong`` is the share of the training labels
    (validation too) that are wrong, as some made by hand are; those of the test part are right. The same arguments give
    the same frames.
    """
    scenes = [render_scene(number, size=size, seed=seed) for number in range(images)]
    pixels = torch.from_numpy(np.stack([picture for picture, _ in scenes]))
    present = torch.tensor([[scene[label] for label in labels] for _, scene in scenes], dtype=torch.uint8)
    arrays = frame_arrays(pixels, present, labels)
    return replace(arrays, train_labels=_mistaken(arrays.train_labels, wrong, seed)) if wrong else arrays


def _mistaken(labels_NK: Tensor, wrong: float, seed: int) -> Tensor:
    """Return labels of which about this share is turned to the contrary."""
    drawn = integers_below(1 << 30, stream_key("wrong labels", seed), labels_NK.numel())
    turned = torch.from_numpy(drawn < wrong * (1 << 30)).view_as(labels_NK)
    return labels_NK ^ turned.to(labels_NK.dtype)
