"""A model that is published as it is: nothing is trained, and it is measured once, as a trained one is at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from kd.compress.cost import count_parameters, file_bytes
from kd.compress.fake_int8 import ordinary_weights
from kd.evaluate.metrics import selecting_metric
from kd.stages.context import Interrupted, StageContext
from kd.stages.data import Data
from kd.stages.envelope import result_of
from kd.stages.outcome import BEST, cost_of, measure_store, measure_test
from kd.stages.start import started_from
from kd.train.device import Runtime
from kd.train.state import Stopwatch
from kd.train.weights import ModelCard, save_weights


def conclude_as_it_is(
    context: StageContext,
    spec: Mapping[str, Any],
    model: nn.Module,
    *,
    card: ModelCard,
    data: Data,
    runtime: Runtime,
    watch: Stopwatch,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the weights, measure them on the validation and the test images, and return the contents of result.json.

    ``best`` and ``last`` are the same model. Raises Interrupted when asked to stop; nothing is lost, it takes seconds.
    """
    if context.stop_requested():
        raise Interrupted("stopped before the model was measured")
    model = runtime.place(model)
    save_weights(context.work / BEST, ordinary_weights(model, model.state_dict()), card)
    validation = measure_store(model, store=data.validation, card=card, runtime=runtime).as_dict()
    test = measure_test(model, data.test_store(), card, runtime)
    findings = {
        "model": dict(spec["settings"]["model"]),
        "parameters": count_parameters(model),
        "trainable_parameters": count_parameters(model, trainable=True),
        "epochs": 0,
        "validation": {"best": validation, "last": validation},
        **(facts or {}),
        **started_from(model),
        "metric": selecting_metric(multi_label=card.multi_label),
        "test": {"best": test, "last": test},
        "file": {"name": BEST, "bytes": file_bytes(context.work / BEST)},
        "cost": cost_of(model, data, runtime),
        "seconds": {"total": watch.seconds, "train": 0.0},
    }
    return result_of(context, spec, findings, runtime=runtime, data=data, files=context.publish([BEST]))
