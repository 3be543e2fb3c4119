"""The settings that a search found, in the place of those that a job file has for a stage."""

from __future__ import annotations

from msgspec.structs import replace

from kd.errors import CheckpointError
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import FoundSettings
from kd.rundir.stage_result import read_result
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.search.space import with_configuration
from kd.stages.context import StageContext

TrainSpec = StageSpec[TrainSettings]


def with_found_settings(context: StageContext, spec: TrainSpec) -> tuple[TrainSpec, FoundSettings | None]:
    """Return the spec of a training with what its search found best, and what that is; None where it names no search.

    Raises CheckpointError when the search has not finished.
    """
    if "configuration" not in spec.parents:
        return spec, None
    folder = context.parents["configuration"]
    result = read_result(StageFolder(folder))
    if result is None or result.best is None or result.epochs is None:
        raise CheckpointError(f"{folder}: the search has no result.json, so it has not finished; run it first")
    values = result.best.configuration
    found = FoundSettings(stage=result.stage, seed=result.seed, epochs=result.epochs, values=values)
    return replace(spec, settings=with_configuration(spec.settings, values)), found
