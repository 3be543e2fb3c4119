"""Rendered frames of an RGB and an infrared camera, of smoke and fire: synthetic, as its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from kd.arguments import NonNegativeInt, PositiveInt
from kd.data.arrays import ImageArrays
from kd.data.frames import frame_arrays
from kd.data.scenes import render_scene

__all__ = ["synthetic_rgb_ir"]


def synthetic_rgb_ir(
    root: Path | None,
    *,
    images: PositiveInt = 2000,
    size: PositiveInt = 64,
    seed: NonNegativeInt = 0,
    labels: list[Literal["fire", "smoke", "fog", "tarp", "engine"]] = ["fire", "smoke"],  # noqa: B006 (read as text)
) -> ImageArrays:
    """Rendered RGB and infrared frames of smoke and fire, several labels per image; needs no files.

    ``root`` is not used. Modalities: rgb (3 channels) and ir (1). ``labels`` are what of a scene is labelled (see
    ``kd.data.scenes``). Of ``images`` frames 30 % are the test part. The same arguments give the same frames.
    """
    scenes = [render_scene(number, size=size, seed=seed) for number in range(images)]
    pixels = torch.from_numpy(np.stack([picture for picture, _ in scenes]))
    present = torch.tensor([[scene[label] for label in labels] for _, scene in scenes], dtype=torch.uint8)
    return frame_arrays(pixels, present, labels)
