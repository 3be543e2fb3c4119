"""Learning curves, a panel for each stage: metric and loss, training dashed, validation solid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kd.report.curves import Band, read_band
from kd.report.figures.style import colour, panels
from kd.report.formatting import METRICS
from kd.report.report_stages import StageSummary
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {"train": "--", "val": "-"}  # prefix of a column of metrics.csv -> how its curve is drawn


def metrics(family: Family, base: Path) -> Figure | None:
    """Draw the metric by which stages are compared, in percent."""
    return _curves(family, base, family.metric, f"{METRICS[family.metric]} (%)", scale=100)


def losses(family: Family, base: Path) -> Figure | None:
    """Draw the losses: in training what the stage minimises, in validation the cross-entropy."""
    return _curves(family, base, "loss", "loss", scale=1)


def _curves(family: Family, base: Path, column: str, label: str, *, scale: float) -> Figure | None:
    found = {
        name: (colour(index), bands)
        for index, (name, stage) in enumerate(family.stages.items())
        if (bands := _bands(stage, base, column))
    }
    if not found:
        return None
    from matplotlib.ticker import MaxNLocator

    figure, axes = panels(list(found), height=1.5)
    for panel, (shade, bands) in zip(axes, found.values(), strict=True):
        for part, band in bands.items():
            _draw(panel, band, PARTS[part], shade, scale)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        panel.margins(x=0.04)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


def _bands(stage: StageSummary, base: Path, column: str) -> dict[str, Band]:
    folders = [base / job.folder for job in stage.jobs.values()]
    bands = {part: read_band(folders, f"{part}_{column}") for part in PARTS}
    return {part: band for part, band in bands.items() if band.epochs}


def _draw(axes: Axes, band: Band, line: str, shade: str, scale: float) -> None:
    mean, low, high = ([scale * value for value in values] for values in band[1:])
    marker = "o" if len(band.epochs) == 1 else ""
    axes.plot(band.epochs, mean, line, color=shade, linewidth=1.5, marker=marker, markersize=4)
    axes.fill_between(band.epochs, low, high, color=shade, alpha=0.18, linewidth=0)
