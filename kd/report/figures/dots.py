"""Rows of dots: the test metric of each stage, and the paired differences. Every seed is shown, not only their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kd.report.figures.style import INK, colour, one_axes
from kd.report.formatting import METRICS
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One row: fractions, their mean and its interval."""

    label: str
    shade: str
    values: list[float]
    mean: float
    interval: list[float] | None


def measured(family: Family, base: Path) -> Figure | None:
    """Draw the test metric of each stage, in percent."""
    rows = [
        Row(name, colour(index), list(stage.values.values()), stage.mean, stage.ci95)
        for index, (name, stage) in enumerate(family.stages.items())
        if stage.mean is not None
    ]
    return _rows_of_dots(rows, f"test {METRICS[family.metric]} (%)")


def differences(family: Family, base: Path) -> Figure | None:
    """Draw the differences of the pairs that are compared, in percentage points."""
    names = list(family.stages)
    rows = [
        Row(
            f"{pair.stage} − {pair.against}",
            colour(names.index(pair.stage)),
            list(pair.differences.values()),
            pair.difference,
            pair.ci95,
        )
        for pair in family.comparisons
        if pair.difference is not None
    ]
    figure = _rows_of_dots(rows, f"difference in {METRICS[family.metric]}, points")
    if figure is not None:
        figure.axes[0].axvline(0, color="#344054", linewidth=1)
    return figure


def _rows_of_dots(rows: Sequence[Row], label: str) -> Figure | None:
    """Draw one row per label: every value a dot, the mean a tick, its 95 % interval a bar."""
    if not rows:
        return None
    figure, axes = one_axes(0.9 + 0.4 * len(rows))
    for place, row in enumerate(rows):
        if row.interval is not None:
            ends = [100 * end for end in row.interval]
            axes.plot(ends, [place] * 2, color=row.shade, alpha=0.25, linewidth=9, solid_capstyle="butt")
        count = len(row.values)
        spread = [place + 0.16 * (((2 * i + 1) / count) - 1) for i in range(count)]
        axes.scatter([100 * v for v in row.values], spread, color=row.shade, s=22, zorder=3, linewidths=0)
        axes.plot([100 * row.mean], [place], marker="|", markersize=18, markeredgewidth=2.2, color=INK, zorder=4)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    axes.set_xlabel(label)
    return figure
