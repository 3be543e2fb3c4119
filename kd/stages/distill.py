"""Stage kind "distill": a student learns from labels and from trained teachers (see ``kd.stages.teachers``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd.stages.configuration import configured
from kd.stages.context import StageContext
from kd.stages.fit import fit_stage
from kd.stages.gate import gate_outcome
from kd.stages.teachers import find_teachers


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Distil, measure, and return the contents of result.json.

    Raises CheckpointError when a teacher cannot be used, SpecError when it does not fit the student.
    """
    spec = configured(context, spec)
    teachers = find_teachers(context, spec)
    result = fit_stage(context, spec, teachers=teachers)
    return {**result, **teachers.facts, **gate_outcome(context, spec, result)}
