"""Stage kind "train": a model learns from labels alone (a teacher, or the baseline of a student)."""

from __future__ import annotations

from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.training.fit_stage import fit_stage
from kd.stages.training.found_settings import with_found_settings


def run(context: StageContext, spec: StageSpec[TrainSettings]) -> StageResult | None:
    """Train, measure, and return the result; None in the further processes of a stage."""
    spec, found = with_found_settings(context, spec)
    return fit_stage(context, spec, found=found)
