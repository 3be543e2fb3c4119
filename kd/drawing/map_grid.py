"""A layer's feature maps in a grid, and their attention over the image: where in the image the layer looks.

Attention is the mean over channels of the squared maps (Zagoruyko and Komodakis 2017, arXiv:1612.03928): what the loss
``at`` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from kd.errors import UserError
from kd.files import atomic_path

COLUMNS = 6
CELL_INCHES = 1.2


def require_maps(outputs: Tensor, layer: str) -> None:
    """Raise UserError when a layer's output for one image is no maps [C, H, W]."""
    if outputs.ndim != 3:
        raise UserError(f"{layer}: this layer puts out no maps, but {list(outputs.shape)} per image")


def attention(maps_CHW: Tensor, size: Sequence[int]) -> Tensor:
    """Return the attention of feature maps, between 0 and 1, enlarged to an image's (height, width)."""
    squares_HW = maps_CHW.square().mean(0)
    span = (squares_HW.max() - squares_HW.min()).clamp_min(1e-12)
    enlarged = F.interpolate(((squares_HW - squares_HW.min()) / span)[None, None], tuple(size), mode="bilinear")
    return enlarged[0, 0]


def draw_maps(image_CHW: Tensor, maps_CHW: Tensor, title: str, path: Path, *, most: int) -> None:
    """Draw an image (pixels from 0 to 1), the attention over it and its first ``most`` feature maps as a PNG.

    Raises UserError when the layer's output is no maps [C, H, W].
    """
    from matplotlib.figure import Figure

    require_maps(maps_CHW, title)
    picture = (image_CHW[:3].permute(1, 2, 0) if len(image_CHW) >= 3 else image_CHW[0]).numpy()
    shown = maps_CHW[:most].numpy()
    rows = ceil((len(shown) + 2) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES, rows * CELL_INCHES + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes: list[Any] = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for cell in axes:
        cell.set_axis_off()
    axes[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes[1].imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes[1].imshow(attention(maps_CHW, image_CHW.shape[-2:]).numpy(), cmap="inferno", alpha=0.6)
    for cell, map_HW in zip(axes[2:], shown, strict=False):
        cell.imshow(map_HW, cmap="viridis")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144)
