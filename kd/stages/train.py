"""Stage kind "train": a model learns from labels alone (a teacher, or the baseline of a student)."""

from __future__ import annotations

from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.training.as_it_is import Made, publish_as_it_is
from kd.stages.training.fit_stage import fit_stage, load_stage_data
from kd.stages.training.found_settings import with_found_settings
from kd.stages.training.seeds import seed_generators, seed_of
from kd.stages.training.starting_model import starting_model
from kd.train.device import prepare_runtime
from kd.train.state import Stopwatch


def run(context: StageContext, spec: StageSpec[TrainSettings]) -> StageResult | None:
    """Train (for no epoch: take the model as it is), measure, and return the result; None in further processes."""
    spec, found = with_found_settings(context, spec)
    return fit_stage(context, spec, found=found) if spec.settings.epochs else _untrained(context, spec)


def _untrained(context: StageContext, spec: StageSpec[TrainSettings]) -> StageResult:
    watch, settings = Stopwatch(), spec.settings
    runtime = prepare_runtime(precision=settings.precision, deterministic=settings.deterministic)
    data = load_stage_data(context, spec, None, runtime.device)
    start = starting_model(context, settings, data)
    seed_generators("model", seed_of(spec))
    made = Made(model=start.build(), card=start.card, origin=start.origin, pruning=start.pruning)
    return publish_as_it_is(context, spec, made, data=data, runtime=runtime, watch=watch)
