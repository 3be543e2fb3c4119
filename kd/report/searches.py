"""The searches of a run, for report.json: what each found, against the default, and what it cost.

A search leaves no model and reads no test image. Its scores (``metric`` says which: accuracies, or macro F1 of several
labels) are those of short trainings, on the validation images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd.report.cells import Cell
from kd.report.statistics import finite
from kd.report.summary import agreed, gpu_hours, relative_folder, unique

KIND = "search"


def searches(cells: Sequence[Cell], base: Path) -> dict[str, Any]:
    """Return the searches among the cells of a pipeline, by name. Folders are written relative to ``base``."""
    names = unique([cell.key.stage for cell in cells if cell.kind == KIND])
    return {name: _search([cell for cell in cells if cell.key.stage == name], base) for name in names}


def _search(cells: Sequence[Cell], base: Path) -> dict[str, Any]:
    jobs = {cell.seed: _job(cell, base) for cell in cells if cell.done}
    return {
        "for": next((cell.spec["settings"]["for"] for cell in cells if cell.spec.get("settings")), None),
        "planned": len(cells),
        "n": len(jobs),
        "epochs": agreed([job["epochs"] for job in jobs.values()]),
        "gpu_hours": gpu_hours(cells, list(jobs.values())),
        "jobs": jobs,
    }


def _job(cell: Cell, base: Path) -> dict[str, Any]:
    """Return what one finished search found; scores are those of the validation images, as fractions."""
    result = cell.result or {}
    best, default = result.get("best", {}), result.get("default", {})
    return {
        "folder": relative_folder(cell, base),
        "configuration": best.get("configuration"),
        "metric": result.get("metric"),
        "validation_score": finite(best.get("score")),
        "default_score": finite(default.get("score")),
        "trials": result.get("trials", []),
        "remembered": result.get("remembered"),
        "epochs": result.get("epochs"),
        "seconds": {"total": finite(result.get("seconds", {}).get("total"))},
        "finished": finite(result.get("finished")),
    }
