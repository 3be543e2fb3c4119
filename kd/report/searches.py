"""The searches of a run, for report.json: what each found, against the default, and what it cost.

A search leaves no model and reads no test image. Its scores (by ``metric``: accuracies, or macro F1 of several
labels) are those of short trainings, on the validation images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd.report.cells import Cell
from kd.report.job_record import relative_folder
from kd.report.report_stages import SearchRecord, SearchSummary
from kd.report.summary import agreed, gpu_hours, unique
from kd.rundir.result_sections import Seconds
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import SearchSettings

KIND = "search"


def searches(cells: Sequence[Cell], base: Path) -> dict[str, SearchSummary]:
    """Return the searches among the cells of a pipeline, by name. Folders are written relative to ``base``."""
    names = unique([cell.key.stage for cell in cells if cell.kind == KIND])
    return {name: _search([cell for cell in cells if cell.key.stage == name], base) for name in names}


def _search(cells: Sequence[Cell], base: Path) -> SearchSummary:
    jobs = {cell.seed: _job(cell, cell.result, base) for cell in cells if cell.result}
    settings = next((cell.spec.settings for cell in cells if cell.spec), None)
    return SearchSummary(
        searched=settings.searched if isinstance(settings, SearchSettings) else None,
        planned=len(cells),
        n=len(jobs),
        epochs=agreed([job.epochs for job in jobs.values()]),
        gpu_hours=gpu_hours(cells),
        jobs=jobs,
    )


def _job(cell: Cell, result: StageResult, base: Path) -> SearchRecord:
    """Return what one finished search found; scores are those of the validation images, as fractions."""
    return SearchRecord(
        folder=relative_folder(cell, base),
        configuration=result.best.configuration if result.best else None,
        metric=result.metric,
        validation_score=result.best.score if result.best else None,
        default_score=result.default.score if result.default else None,
        trials=result.trials or [],
        remembered=result.remembered,
        epochs=result.epochs,
        seconds=Seconds(total=result.seconds.total if result.seconds else None),
        finished=result.finished,
    )
