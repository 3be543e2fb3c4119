"""Which images a network takes for alike: features in a plane, a panel for each stage, a colour for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd.report.drawn_stages import drawn_stages
from kd.report.figures.style import colour, panels
from kd.report.report_value import Family
from kd.rundir.drawn_file import Embedding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 20  # classes that fit in a legend
LEGEND_COLUMNS = 5


def embeddings(family: Family, base: Path) -> Figure | None:
    """Draw the embeddings of all stages that were asked for one; None where none was."""
    found = {name: drawn.embedding for name, drawn in drawn_stages(family, base).items() if drawn.embedding}
    if not found:
        return None
    classes = sorted({label for each in found.values() for label in each.labels})
    shades = {label: _shade(place, len(classes)) for place, label in enumerate(classes)}
    rows = -(-len(classes) // LEGEND_COLUMNS) if len(classes) <= MOST_NAMED else 0
    titles = [f"{name} ({each.method})" for name, each in found.items()]
    figure, axes = panels(titles, height=2.0, same_x=False, same_y=False)
    for panel, each in zip(axes, found.values(), strict=True):
        _scatter(panel, each, shades)
    if rows:
        from matplotlib.lines import Line2D

        dots = [Line2D([], [], marker="o", linestyle="", markersize=4, color=shade) for shade in shades.values()]
        figure.set_figheight(figure.get_figheight() + 0.2 * rows)
        figure.legend(dots, classes, loc="outside lower center", ncols=LEGEND_COLUMNS, fontsize=7, frameon=False)
    return figure


def _shade(place: int, classes: int) -> str:
    """Return the colour of a class: one of eight that all can tell apart, or where they are more, of a wheel."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if classes <= 8:
        return colour(place)
    name = "tab10" if classes <= 10 else "tab20" if classes <= MOST_NAMED else "hsv"
    return to_hex(colormaps[name](place / classes if name == "hsv" else place))


def _scatter(axes: Axes, embedding: Embedding, shades: Mapping[str, str]) -> None:
    columns = list(zip(*embedding.points, strict=True))
    axes.scatter(columns[0], columns[1], s=4, c=[shades[label] for label in embedding.labels], linewidths=0)
    axes.set_xticks([])
    axes.set_yticks([])
    _own_limits(axes, columns)


def _own_limits(axes: Axes, columns: Sequence[Sequence[float]]) -> None:
    """Let a map fill its panel: the scales of two maps mean nothing to each other."""
    for name, values in zip(("x", "y"), columns, strict=True):
        margin = 0.05 * (max(values) - min(values) or 1)
        axes.set(**{f"{name}lim": (min(values) - margin, max(values) + margin)})
