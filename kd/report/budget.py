"""What an accuracy cost in epochs: those of its own training, and those of what was trained before it and for it alone.

A teacher is given: nobody's budget holds stages of the role ``teacher``. Assistants, further teachers, trials and the
students that a selection was judged by are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from kd.report.cells import Cell
from kd.report.report_stages import StageSummary

GIVEN = "teacher"  # the role of what no arm pays for


def preparation(name: str, cells: Sequence[Cell]) -> dict[str, float]:
    """Return the epochs of every stage that ``name`` stands on, by stage: teachers excepted, means over the seeds."""
    spent: dict[str, float] = {}
    for ancestor in _ancestors(name, cells):
        own = [cell for cell in cells if cell.key.stage == ancestor and cell.role != GIVEN]
        epochs = [cell.result.epochs for cell in own if cell.result and cell.result.epochs is not None]
        if epochs:
            spent[ancestor] = sum(epochs) / len(epochs)
    return spent


def different_epochs(stage: StageSummary, other: StageSummary) -> list[str]:
    """Return a note where two stages trained for unequal epochs, by themselves and in all they were prepared by."""
    one, two = stage.epochs, other.epochs
    totals = _totals(stage, other)
    if one is None or two is None or one == two or (totals and totals[0] == totals[1]):
        return []
    in_all = f" ({totals[0]:g} against {totals[1]:g} in all)" if totals and totals != (one, two) else ""
    return [f"different epochs: {one} against {two}{in_all}"]


def different_totals(stage: StageSummary, other: StageSummary) -> list[str]:
    """Return a note where two stages trained for equal epochs, but one took more to prepare."""
    totals = _totals(stage, other)
    if totals is None or stage.epochs != other.epochs or totals[0] == totals[1]:
        return []
    return [f"with all that was trained for them, {totals[0]:g} epochs against {totals[1]:g}"]


def _totals(stage: StageSummary, other: StageSummary) -> tuple[float, float] | None:
    """Return the epochs of each with its preparation, less what both share; None where epochs are not one number."""
    totals = []
    for this, that in ((stage, other), (other, stage)):
        if not isinstance(this.epochs, int):
            return None
        before = this.preparation
        totals.append(this.epochs + sum(before[name] for name in before if name not in that.preparation))
    return totals[0], totals[1]


def _ancestors(name: str, cells: Sequence[Cell]) -> list[str]:
    """Return the stages that a stage stands on, in the cells' order."""
    parents: dict[str, set[str]] = {}
    for cell in cells:
        parents.setdefault(cell.key.stage, set()).update(parent.stage for parent in cell.parents.values())
    found, waiting = set[str](), [name]
    while waiting:
        new = parents.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return [stage for stage in parents if stage in found]
