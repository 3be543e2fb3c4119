"""What stages left to be drawn (drawn.json): of each stage the first seed that has it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kd.report.cells import Cell
from kd.report.job_record import relative_folder
from kd.report.report_stages import StageSummary
from kd.report.report_value import Family, Undrawn
from kd.rundir.drawn_file import Drawn, read_drawn
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import Draw


def drawn_stages(family: Family, base: Path) -> dict[str, Drawn]:
    """Return what there is to draw, by stage. Seeds share their images, so one of them shows the stage."""
    return {name: found for name, stage in family.stages.items() if (found := _of_stage(stage, base))}


def undrawn(cells: Sequence[Cell], base: Path) -> list[Undrawn]:
    """Return the finished stages that are to be drawn and left nothing to draw, with the command that mends it."""
    found: dict[str, Undrawn | None] = {}
    for cell in cells:
        draw: Draw | None = getattr(cell.spec.settings, "draw", None) if cell.spec and cell.done else None
        if draw is None or (cell.key.stage in found and found[cell.key.stage] is None):
            continue
        there = StageFolder(cell.folder).drawn.is_file()
        found[cell.key.stage] = None if there else Undrawn(stage=cell.key.stage, command=_command(cell, base, draw))
    return [each for each in found.values() if each]


def _command(cell: Cell, base: Path, draw: Draw) -> str:
    words = ["python", "-m", "kd.drawing.drawn_images", relative_folder(cell, base)]
    words += ["--embeddings", str(draw.embeddings), "--method", draw.method] if draw.embeddings else []
    return shlex.join([*words, *(["--feature-maps", *draw.feature_maps] if draw.feature_maps else [])])


def _of_stage(stage: StageSummary, base: Path) -> Drawn | None:
    for job in stage.jobs.values():
        if found := read_drawn(StageFolder(base / job.folder), job.fingerprint):
            return found
    return None
