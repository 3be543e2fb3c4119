"""Where networks look: feature maps of one image, and attention over several, a row for each stage and layer.

Attention is the mean over channels of the squared maps (Zagoruyko and Komodakis 2017, arXiv:1612.03928).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd.report.drawn_stages import drawn_stages
from kd.report.figures.style import STYLE, WIDTH_INCHES, in_two_lines
from kd.report.report_value import Family
from kd.rundir.drawn_file import Drawn, LayerMaps, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_INCHES = 0.95
COLUMNS = {"maps": 7, "attention": 8}  # an image and six maps; four images, each twice


def feature_maps(family: Family, base: Path) -> Figure | None:
    """Draw the first image, and the first maps of it, for all stages that were asked for maps."""
    rows = _rows(family, base)
    if not rows:
        return None
    figure, grid = _grid(rows, COLUMNS["maps"])
    for cells, (_, drawn, layer) in zip(grid, rows, strict=True):
        _show(cells[0], drawn.images[0])
        for cell, picture in zip(cells[1:], layer.maps[0], strict=False):
            _show(cell, picture, cmap="viridis")
    return figure


def attention(family: Family, base: Path) -> Figure | None:
    """Draw the first images, each with the attention over it, for all stages that were asked for maps."""
    rows = _rows(family, base)
    if not rows:
        return None
    figure, grid = _grid(rows, COLUMNS["attention"])
    for cells, (_, drawn, layer) in zip(grid, rows, strict=True):
        for place, (image, heat) in enumerate(zip(drawn.images, layer.attention, strict=True)):
            for cell in cells[2 * place : 2 * place + 2]:
                _show(cell, image)
            _overlay(cells[2 * place + 1], image, heat)
    return figure


def _rows(family: Family, base: Path) -> list[tuple[str, Drawn, LayerMaps]]:
    return [(name, drawn, layer) for name, drawn in drawn_stages(family, base).items() for layer in drawn.layers]


def _grid(rows: list[tuple[str, Drawn, LayerMaps]], columns: int) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(WIDTH_INCHES, (ROW_INCHES + 0.2) * len(rows) + 0.1), layout="constrained")
        axes: Any = figure.subplots(len(rows), columns, squeeze=False)
    for cells, (name, _, layer) in zip(axes, rows, strict=True):
        for cell in cells:
            cell.set_axis_off()
        cells[0].set_title(in_two_lines(f"{name}: {layer.layer}"), loc="left", fontsize=7.5)
    return figure, [list(cells) for cells in axes]


def _pixels(picture: Picture) -> Any:
    import numpy as np

    shape = (picture.height, picture.width, picture.channels)
    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(shape)
    return pixels[:, :, 0] if picture.channels == 1 else pixels


def _show(axes: Axes, picture: Picture, cmap: str = "gray") -> None:
    axes.imshow(_pixels(picture), cmap=cmap, vmin=0, vmax=255, interpolation="nearest")


def _overlay(axes: Axes, image: Picture, heat: Picture) -> None:
    extent = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
    axes.imshow(_pixels(heat), cmap="inferno", vmin=0, vmax=255, alpha=0.6, extent=extent, interpolation="bilinear")
