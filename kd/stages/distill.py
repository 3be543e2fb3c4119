"""Stage kind "distill": a student learns from labels and from a trained teacher, which runs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd.errors import CheckpointError
from kd.files import sha256_file
from kd.rundir import StageFolder
from kd.stages.context import StageContext
from kd.stages.fit import fit_stage
from kd.stages.outcome import BEST


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Distil, measure, and return the contents of result.json.

    Raises CheckpointError when the teacher cannot be used.
    """
    weights, facts = find_teacher(context.parents["teacher"])
    return {**fit_stage(context, spec, teacher_weights=weights), "teacher": facts}


def find_teacher(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return a finished teacher's weights, their bytes verified, and the facts that a result quotes.

    Raises CheckpointError when the teacher has not finished or its weights are missing or damaged.
    """
    result = StageFolder(folder).read_result()
    if result is None:
        raise CheckpointError(f"{folder}: the teacher has no result.json, so it has not finished; run it first")
    weights = folder / BEST
    if not weights.is_file():
        raise CheckpointError(f"{weights}: the teacher's weights are missing; run it again")
    if sha256_file(weights) != result["files"][BEST]:
        raise CheckpointError(f"{weights}: the teacher's weights are damaged (their checksum differs); run it again")
    return weights, {
        "stage": result["stage"],
        "seed": result["seed"],
        "validation_accuracy": result["validation"]["best"]["accuracy"],
    }
