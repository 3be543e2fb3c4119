"""Stage kind "weights": a file that somebody trained becomes a model of the run, measured and published."""

from __future__ import annotations

from pathlib import Path

from kd.models.backbone import Backbone
from kd.models.trained_weights import find_parts, load_trained
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import StageSpec, WeightsSettings
from kd.stages.context import StageContext
from kd.stages.stage_data import load_data
from kd.stages.training.as_it_is import Made, publish_as_it_is
from kd.stages.training.seeds import seed_generators, seed_of
from kd.train.device import prepare_runtime
from kd.train.state import Stopwatch


def run(context: StageContext, spec: StageSpec[WeightsSettings]) -> StageResult:
    """Load the file, measure, and return the result.

    Without a file (``--tiny``) the model has fresh weights. Raises CheckpointError when the file cannot be used.
    """
    watch, settings = Stopwatch(), spec.settings
    runtime = prepare_runtime(precision=settings.precision)
    given = (tuple(settings.mean), tuple(settings.std)) if settings.mean and settings.std else None
    data = load_data(
        spec.data, staged=context.data_root, device=runtime.device, model=settings.model, normalisation=given
    )
    card = data.card(settings.model)
    seed_generators("model", seed_of(spec))
    model = card.build()
    if settings.file is not None:
        parts = None if isinstance(model, Backbone) else find_parts(model, len(card.classes))
        load_trained(model, Path(settings.file), parts=parts, classifier=settings.classifier)
    made = Made(model=model, card=card)
    return publish_as_it_is(context, spec, made, data=data, runtime=runtime, watch=watch)
