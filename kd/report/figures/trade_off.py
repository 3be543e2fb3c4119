"""What accuracy costs: the test metric of each model against its size, its operations and its latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kd.report.figures.style import WIDTH_INCHES, colour, panels
from kd.report.formatting import METRICS
from kd.report.report_stages import Deployment
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# label of an axis -> the cost that it shows
COSTS: Mapping[str, Callable[[Deployment], float | None]] = {
    "file (MB)": lambda row: None if row.bytes is None else row.bytes / 1e6,
    "operations (GFLOP)": lambda row: None if row.flops is None else row.flops / 1e9,
    "latency (ms)": lambda row: None if row.latency_in_pytorch is None else row.latency_in_pytorch * 1e3,
}
KEY_COLUMNS, KEY_CHARACTERS = 3, 104  # entries beside each other below the panels, and what they may hold together


def trade_off(family: Family, base: Path) -> Figure | None:
    """Draw a panel for each cost that was measured; models are numbered, and named below."""
    costs = {
        label: {row.stage: value for row in family.deployment if (value := cost(row)) is not None}
        for label, cost in COSTS.items()
    }
    known = {label: values for label, values in costs.items() if len(values) > 1}
    if not known:
        return None
    figure, axes = panels(["" for _ in known], height=2.6, same_x=False)
    for panel, (label, values) in zip(axes, known.items(), strict=True):
        panel.set_xscale("log")
        _scatter(panel, family, values)
        panel.set_xlabel(label)
    axes[0].set_ylabel(f"test {METRICS[family.metric]} (%)")
    _name_the_numbers(figure, family, {name for values in known.values() for name in values})
    return figure


def _scatter(axes: Axes, family: Family, values: Mapping[str, float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for index, (name, stage) in enumerate(family.stages.items()):
        if name in values and stage.mean is not None:
            place = (values[name], 100 * stage.mean)
            axes.scatter(*place, color=colour(index), s=24, zorder=3, linewidths=0)
            side, where = (5, "left") if index % 2 else (-5, "right")
            axes.annotate(
                str(index + 1), place, xytext=(side, 0), textcoords="offset points", ha=where, va="center", fontsize=8
            )
    axes.margins(x=0.18, y=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name_the_numbers(figure: Figure, family: Family, drawn: set[str]) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=colour(index), marker="o", linestyle="", markersize=4, label=f"{index + 1}  {name}")
        for index, name in enumerate(family.stages)
        if name in drawn
    ]
    longest = max(len(str(entry.get_label())) for entry in entries)
    columns = max(1, min(KEY_COLUMNS, KEY_CHARACTERS // longest))
    figure.set_size_inches(WIDTH_INCHES, figure.get_figheight() + 0.18 * -(-len(entries) // columns))
    figure.legend(handles=entries, loc="outside lower left", ncols=columns, frameon=False, fontsize=8)
