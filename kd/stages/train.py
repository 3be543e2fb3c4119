"""Stage kind "train": a model learns from labels alone (a teacher, or the baseline of a student)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd.stages.as_it_is import conclude_as_it_is
from kd.stages.configuration import configured
from kd.stages.context import StageContext
from kd.stages.fit import fit_stage, load_stage_data, seed_generators
from kd.stages.start import starting_point
from kd.train.device import prepare_runtime
from kd.train.state import Stopwatch


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train (for no epoch: take the model as it is), measure, and return the contents of result.json."""
    settled = configured(context, spec)
    return fit_stage(context, settled) if settled["settings"]["epochs"] else _untrained(context, settled)


def _untrained(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    watch, settings = Stopwatch(), spec["settings"]
    runtime = prepare_runtime(precision=settings["precision"], deterministic=settings["deterministic"])
    data = load_stage_data(context, spec, None, runtime.device)
    start = starting_point(context, settings, data)
    seed_generators("model", spec["seed"])
    model = start.build()
    return conclude_as_it_is(
        context, spec, model, card=start.card, data=data, runtime=runtime, watch=watch, facts=start.facts
    )
