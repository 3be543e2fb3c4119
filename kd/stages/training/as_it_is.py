"""A model that is published as it is: nothing is trained, and it is measured once, as a trained one is at its end."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from kd.compress.cost import count_parameters, file_bytes
from kd.compress.fake_int8 import ordinary_weights
from kd.drawing.drawn_images import require_drawable, write_what_is_drawn
from kd.evaluate.metrics import selecting_metric
from kd.rundir.folders import BEST
from kd.rundir.result_sections import BestAndLast, ModelFile, ModelOrigin, Pruning, Seconds
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import Draw, StageSpec, TrainSettings, WeightsSettings
from kd.stages.context import Interrupted, StageContext
from kd.stages.measurement import measure_store, measure_test, recorded
from kd.stages.result_file import circumstances, identity
from kd.stages.speed import cost_of
from kd.stages.stage_data import StageData
from kd.stages.training.measure_and_publish import loaded_weights
from kd.train.device import Runtime, exact_float32
from kd.train.state import Stopwatch
from kd.train.weights import ModelCard, save_weights


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Made:
    """A model that is ready, and the stage whose weights it has, if it has those of one."""

    model: nn.Module
    card: ModelCard
    origin: ModelOrigin | None = None
    pruning: Pruning | None = None


def publish_as_it_is(
    context: StageContext,
    spec: StageSpec[TrainSettings] | StageSpec[WeightsSettings],
    made: Made,
    *,
    data: StageData,
    runtime: Runtime,
    watch: Stopwatch,
) -> StageResult:
    """Write the weights, measure them on the validation and the test images, and return the result.

    ``best`` and ``last`` are the same model. Raises Interrupted when asked to stop; nothing is lost, it takes seconds.
    """
    model, card = runtime.place(made.model), made.card
    _check(context, model, data, spec.settings.draw)
    save_weights(context.work / BEST, ordinary_weights(model, model.state_dict()), card)
    validation = recorded(measure_store(model, store=data.validation, card=card, runtime=runtime))
    with exact_float32(runtime) as exact:
        test = measure_test(model, data.test_store(), card, exact)
        write_what_is_drawn(context.folder, spec.fingerprint, model, card, data.validation, spec.settings.draw)
    return StageResult(
        **identity(context, spec, context.publish([BEST])),
        **circumstances(runtime, data),
        model=spec.settings.model,
        parameters=count_parameters(model),
        trainable_parameters=count_parameters(model, trainable=True),
        epochs=0,
        metric=selecting_metric(multi_label=card.multi_label),
        validation=BestAndLast(best=validation, last=validation),
        measured_in=exact.precision,
        test=BestAndLast(best=test.metrics, last=test.metrics),
        detail=test.detail,
        calibration=test.calibration,
        start=made.origin,
        pretrained=loaded_weights(model),
        pruning=made.pruning,
        file=ModelFile(name=BEST, bytes=file_bytes(context.work / BEST)),
        cost=cost_of(context.work / BEST, card, data, runtime),
        seconds=Seconds(total=watch.seconds, train=0.0),
    )


def _check(context: StageContext, model: nn.Module, data: StageData, draw: Draw | None) -> None:
    """Raise Interrupted when asked to stop, UserError when what is to be drawn cannot be."""
    if context.stop_requested():
        raise Interrupted("stopped before the model was measured")
    require_drawable(model, data.validation, draw)
