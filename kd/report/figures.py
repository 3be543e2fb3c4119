"""The figures of one pipeline, as SVG and PNG. matplotlib is loaded only to draw; no display is needed.

Every figure shows each seed, not only their mean. Axes are in percent and percentage points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd.files import atomic_path
from kd.report.curves import read_band
from kd.report.formatting import METRICS
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), which colour-blind readers can distinguish too; in the order of the stages
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7A00", "#555555")
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#98a2b3",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7ec",
    "xtick.color": "#475467",
    "ytick.color": "#475467",
    "axes.labelcolor": "#344054",
    "text.parse_math": False,  # a stage's name is shown as it is
}
LINES = ("-", "--", ":")  # where colours begin again
WIDTH_INCHES = 6.4
MOST_INSIDE = 8  # entries of a legend that leave room for the curves beside them
LEGEND_COLUMNS = 3
MEASURED = "Test {metric}. A dot is a seed, the tick their mean, the bar its 95 % interval."
DIFFERENCES = "Paired differences. A dot is a seed, the tick their mean, the bar its 95 % interval."
CURVES = "Validation {metric} of the finished jobs: mean, and band from the lowest to the highest seed."


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A figure that lies in ``<name>.svg`` and ``<name>.png`` of the figures folder."""

    name: str
    caption: str
    svg: Path


def draw_figures(pipeline: str, family: Family, base: Path, folder: Path) -> list[Drawing]:
    """Draw what there is to draw of one pipeline into ``folder``; ``base`` is where report.json lies."""
    metric = METRICS[family.metric]
    drawn = (
        (f"{pipeline}_{family.metric}", MEASURED, _measured(family, metric)),
        (f"{pipeline}_differences", DIFFERENCES, _differences(family, metric)),
        (f"{pipeline}_curves", CURVES, _curves(family, base, metric)),
    )
    return [
        Drawing(name=name, caption=caption.format(metric=metric), svg=_save(figure, folder, name))
        for name, caption, figure in drawn
        if figure is not None
    ]


def colour(index: int) -> str:
    """Return the colour of the stage at this place of the plan."""
    return COLOURS[index % len(COLOURS)]


def _measured(family: Family, metric: str) -> Figure | None:
    rows = [
        (name, colour(index), list(stage.values.values()), stage.mean, stage.ci95)
        for index, (name, stage) in enumerate(family.stages.items())
        if stage.mean is not None
    ]
    return _rows_of_dots(rows, f"test {metric} (%)")


def _differences(family: Family, metric: str) -> Figure | None:
    names = list(family.stages)
    rows = [
        (
            f"{pair.stage} − {pair.against}",
            colour(names.index(pair.stage)),
            list(pair.differences.values()),
            pair.difference,
            pair.ci95,
        )
        for pair in family.comparisons
        if pair.difference is not None
    ]
    figure = _rows_of_dots(rows, f"difference in test {metric} (percentage points)")
    if figure is not None:
        figure.axes[0].axvline(0, color="#344054", linewidth=1)
    return figure


Row = tuple[str, str, list[float], float, list[float] | None]  # label, colour, values, mean, interval


def _rows_of_dots(rows: Sequence[Row], label: str) -> Figure | None:
    """Draw one row per label: every value a dot, the mean a tick, its 95 % interval a bar."""
    if not rows:
        return None
    figure, axes = _axes(0.9 + 0.55 * len(rows))
    for place, (_, shade, values, mean, bounds) in enumerate(rows):
        if bounds is not None:
            axes.plot(
                [100 * b for b in bounds],
                [place] * 2,
                color=shade,
                alpha=0.25,
                linewidth=9,
                solid_capstyle="butt",
            )
        spread = [place + 0.16 * (((2 * i + 1) / len(values)) - 1) for i in range(len(values))]
        axes.scatter([100 * v for v in values], spread, color=shade, s=22, zorder=3, linewidths=0)
        axes.plot([100 * mean], [place], marker="|", markersize=22, markeredgewidth=2.2, color="#101828", zorder=4)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    axes.set_xlabel(label)
    return figure


def _curves(family: Family, base: Path, metric: str) -> Figure | None:
    bands = [
        (name, read_band([base / job.folder for job in stage.jobs.values()], stage.metric))
        for name, stage in family.stages.items()
    ]
    if not any(band.epochs for _, band in bands):
        return None
    from matplotlib.ticker import MaxNLocator

    figure, axes = _axes(3.4)
    for index, (name, band) in enumerate(bands):
        if band.epochs:
            percent = [[100 * value for value in line] for line in band[1:]]
            marker = "o" if len(band.epochs) == 1 else ""
            line = LINES[index // len(COLOURS) % len(LINES)]
            axes.plot(band.epochs, percent[0], line, color=colour(index), linewidth=1.8, label=name, marker=marker)
            axes.fill_between(band.epochs, percent[1], percent[2], color=colour(index), alpha=0.18, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"validation {metric} (%)")
    axes.margins(x=0.02)
    _add_legend(figure, axes)
    return figure


def _add_legend(figure: Figure, axes: Axes) -> None:
    """Name the curves where they leave room, or below them."""
    curves, _ = axes.get_legend_handles_labels()
    if len(curves) <= MOST_INSIDE:
        axes.legend(frameon=False, loc="best")
        return
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(curves) // LEGEND_COLUMNS))
    figure.legend(handles=curves, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8)


def _axes(height: float) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        return figure, figure.add_subplot()


def _save(figure: Figure, folder: Path, name: str) -> Path:
    """Save the figure twice, atomically. The same numbers give the same SVG, byte for byte."""
    from matplotlib import rc_context

    with rc_context({**STYLE, "svg.hashsalt": name}):
        for kind, metadata in (("svg", {"Date": None}), ("png", None)):
            with atomic_path(folder / f"{name}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=144, metadata=metadata)
    return folder / f"{name}.svg"
