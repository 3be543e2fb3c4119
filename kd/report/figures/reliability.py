"""Reliability diagrams, a panel for each stage: how often predictions of each confidence are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kd.report.figures.style import SOFT, colour, panels
from kd.report.formatting import percent
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(family: Family, base: Path) -> Figure | None:
    """Draw accuracy by confidence in bins of equal width (Guo et al. 2017), with the expected calibration error."""
    found = {
        name: (colour(index), stage.calibration)
        for index, (name, stage) in enumerate(family.stages.items())
        if stage.calibration
    }
    if not found:
        return None
    figure, axes = panels(list(found), height=1.75)
    for panel, (shade, bins) in zip(axes, found.values(), strict=True):
        width, total = 1 / len(bins.counts), max(bins.counts)
        for place, (count, right) in enumerate(zip(bins.counts, bins.accuracy, strict=True)):
            if count:  # a pale bar holds few predictions
                strength = 0.25 + 0.75 * count / total
                panel.bar((place + 0.5) * width, right, width=0.9 * width, color=shade, alpha=strength)
        panel.plot([0, 1], [0, 1], ":", color=SOFT, linewidth=1)
        panel.text(0.04, 0.96, f"ECE {percent(bins.expected_error)} %", va="top", fontsize=8)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1.05)
    figure.supxlabel("confidence", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    return figure
