"""Stage kind "distill": a student learns from labels and from trained teachers.

``kd.stages.training.stage_teachers`` opens the teachers.
"""

from __future__ import annotations

from msgspec.structs import replace

from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.training.fit_stage import fit_stage
from kd.stages.training.fitted_gate import published_gate
from kd.stages.training.found_settings import with_found_settings
from kd.stages.training.stage_teachers import find_teachers


def run(context: StageContext, spec: StageSpec[TrainSettings]) -> StageResult | None:
    """Distil, measure, and return the result; None in the further processes of a stage.

    Raises CheckpointError when a teacher cannot be used, SpecError when it does not fit the student.
    """
    spec, found = with_found_settings(context, spec)
    teachers = find_teachers(context, spec)
    result = fit_stage(context, spec, teachers=teachers, found=found)
    if result is None:
        return None
    origins = [teacher.origin for teacher in teachers.found]
    named = {"teacher": origins[0]} if len(origins) == 1 else {"teachers": origins}
    gate, files = published_gate(context, spec.fingerprint)
    return replace(result, **named, gate=gate, files={**result.files, **files})
