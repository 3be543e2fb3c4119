"""Confusion matrices, a panel for each stage: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd.report.detail_means import summed_confusion
from kd.report.figures.style import panels
from kd.report.report_stages import StageSummary
from kd.report.report_value import Family
from kd.rundir.folders import StageFolder
from kd.rundir.stage_result import read_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 20  # classes whose names still fit beside a panel
MOST_NUMBERED = 10  # classes whose cells still hold a number
MOST_NUMBERED_PANELS = 9  # more of them take a minute to draw, and nobody reads 2,000 numbers


def confusion(family: Family, base: Path) -> Figure | None:
    """Draw the confusion matrices of all stages that have one class per image and at most 200 classes."""
    found = {name: matrix for name, stage in family.stages.items() if (matrix := _matrix(stage, base))}
    if not found:
        return None
    figure, axes = panels(list(found), height=2.15)
    for panel, (name, matrix) in zip(axes, found.items(), strict=True):
        _draw(panel, matrix, list(family.stages[name].classes))
        if len(matrix) <= MOST_NUMBERED and len(found) <= MOST_NUMBERED_PANELS:
            _number(panel, matrix)
    figure.supxlabel("predicted class", fontsize=9)
    figure.supylabel("true class", fontsize=9)
    return figure


def _matrix(stage: StageSummary, base: Path) -> list[list[int]] | None:
    results = [read_result(StageFolder(base / job.folder)) for job in stage.jobs.values()]
    return summed_confusion([result for result in results if result])


def _draw(axes: Axes, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    axes.imshow(_shares(matrix), cmap="Blues", vmin=0, vmax=100)
    axes.grid(visible=False)
    places = range(len(matrix)) if len(matrix) <= MOST_NAMED else []
    names = [classes[place] for place in places]
    axes.set_xticks(places, names, rotation=90, fontsize=6)
    axes.set_yticks(places, names, fontsize=6)


def _shares(matrix: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return each row in percent of its images."""
    return [[100 * count / max(1, sum(row)) for count in row] for row in matrix]


def _number(axes: Axes, matrix: Sequence[Sequence[int]]) -> None:
    for true, row in enumerate(_shares(matrix)):
        for predicted, share in enumerate(row):
            if share >= 0.5:
                ink = "white" if share > 50 else "#344054"
                axes.text(predicted, true, f"{share:.0f}", ha="center", va="center", fontsize=5.5, color=ink)
