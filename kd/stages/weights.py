"""Stage kind "weights": a file that somebody trained becomes a model of the run, measured and published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd.models.backbone import Backbone
from kd.models.trained_weights import find_parts, load_trained
from kd.stages.as_it_is import conclude_as_it_is
from kd.stages.context import StageContext
from kd.stages.data import load_data
from kd.stages.fit import seed_generators
from kd.train.device import prepare_runtime
from kd.train.state import Stopwatch


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Load the file, measure, write and return the contents of result.json.

    Without a file (``--tiny``) the model has fresh weights. Raises CheckpointError when the file cannot be used.
    """
    watch, settings = Stopwatch(), spec["settings"]
    runtime = prepare_runtime(precision=settings["precision"])
    given = (tuple(settings["mean"]), tuple(settings["std"])) if "mean" in settings else None
    data = load_data(
        spec["data"],
        {},
        staged=context.data_root,
        device=runtime.device,
        model=settings["model"],
        normalisation=given,
    )
    card = data.card(settings["model"])
    seed_generators("model", spec["seed"])
    model = card.build()
    if (file := settings.get("file")) is not None:
        parts = None if isinstance(model, Backbone) else find_parts(model, len(card.classes))
        load_trained(model, Path(file), parts=parts, classifier=settings["classifier"])
    return conclude_as_it_is(context, spec, model, card=card, data=data, runtime=runtime, watch=watch)
