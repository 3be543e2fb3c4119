"""How figures look: colours, axes, panels, files. matplotlib is loaded only to draw; no display is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), which colour-blind readers can distinguish too; in the order of the stages
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7A00", "#555555")
INK, SOFT = "#101828", "#475467"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#98a2b3",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7ec",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.labelcolor": "#344054",
    "text.parse_math": False,  # a stage's name is shown as it is
}
WIDTH_INCHES = 6.4
COLUMNS = 3  # of panels
LONGEST_TITLE = 30  # characters that fit above a panel


def colour(index: int) -> str:
    """Return the colour of the stage at this place of the plan."""
    return COLOURS[index % len(COLOURS)]


def one_axes(height: float) -> tuple[Figure, Axes]:
    """Return a figure of the usual width with one pair of axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        return figure, figure.add_subplot()


def panels(
    titles: Sequence[str], *, height: float, same_x: bool = True, same_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each title, in rows of three; ``height`` is that of a row, in inches.

    Small panels that share their axes stay legible with 20 stages, where curves laid over each other do not.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    columns = min(COLUMNS, max(2, len(titles)))
    rows = -(-len(titles) // columns)
    wrapped = [in_two_lines(title) for title in titles]
    height += 0.14 * any("\n" in title for title in wrapped)
    with rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(WIDTH_INCHES, height * rows + 0.4), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=same_x, sharey=same_y, squeeze=False)
    axes = [each for row in grid for each in row]
    for panel, title in zip(axes, wrapped, strict=False):
        panel.set_title(title, loc="left", fontsize=7.5, color=INK)
    for empty in axes[len(titles) :]:
        empty.set_axis_off()
    for panel in axes[len(titles) - columns : len(titles)]:
        panel.tick_params(labelbottom=True)  # the lowest panel of a column that ends early
    return figure, axes[: len(titles)]


def in_two_lines(name: str) -> str:
    """Return a stage's name as it fits above a panel; of a very long one, what is in the middle goes."""
    if len(name) > 2 * LONGEST_TITLE:
        name = f"{name[: LONGEST_TITLE - 1]}…{name[-LONGEST_TITLE:]}"
    if len(name) <= LONGEST_TITLE:
        return name
    place = max(name.rfind(sign, 0, LONGEST_TITLE) for sign in ".-_ …") + 1 or LONGEST_TITLE
    return f"{name[:place]}\n{name[place:]}"


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Save the figure twice, atomically. The same numbers give the same SVG, byte for byte."""
    from matplotlib import rc_context

    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # it is laid out: once is enough for both files
        for kind, metadata in (("svg", {"Date": None}), ("png", None)):
            with atomic_path(folder / f"{name}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=144, metadata=metadata)
    return folder / f"{name}.svg"
