"""The end of a training: its weights are written, the test part is read once, and the result is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TypedDict

import msgspec
from torch import Tensor, nn

from kd.compress.cost import count_parameters, file_bytes
from kd.compress.fake_int8 import ordinary_weights
from kd.data.arrays import channel_statistics
from kd.data.store import DeviceStore
from kd.drawing.drawn_images import write_what_is_drawn
from kd.evaluate.agreement import agreement
from kd.evaluate.damage import damages
from kd.evaluate.robustness import PixelScale, attacked_accuracy, fgsm, pgd
from kd.rundir.class_scores import Detail
from kd.rundir.folders import BEST, LAST, METRICS
from kd.rundir.result_sections import (
    Agreement,
    BestAndLast,
    Calibration,
    FoundSettings,
    LoadedWeights,
    ModelFile,
    ModelOrigin,
    Pruning,
    Seconds,
)
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import Attack, StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.measurement import TestMeasurement, logits_of, measure_store, measure_test, recorded
from kd.stages.result_file import circumstances, identity
from kd.stages.speed import cost_of
from kd.stages.stage_data import StageData
from kd.stages.training.stage_teachers import StageTeachers, TrainingSetup
from kd.train.device import Runtime, exact_float32
from kd.train.state import Stopwatch, Training
from kd.train.weights import ModelCard, save_weights


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trained:
    """A training that is over, and what it was made of."""

    training: Training
    card: ModelCard
    data: StageData
    runtime: Runtime
    origin: ModelOrigin | None = None  # the stage whose weights it started from
    pruning: Pruning | None = None
    steps: str | None = None  # the form in which they ran, where the settings ask for one


def measure_and_publish(
    context: StageContext,
    spec: StageSpec[TrainSettings],
    trained: Trained,
    *,
    teachers: StageTeachers | None,
    found: FoundSettings | None,
    processes: int,
) -> StageResult:
    """Write the best and the last weights, measure both on the test part in float32, and return the result.

    ``teachers`` are those it learned from, ``found`` are the settings that a search chose for this stage.
    """
    training, data = trained.training, trained.data
    save_weights(context.work / BEST, ordinary_weights(training.model, training.best_weights), trained.card)
    save_weights(context.work / LAST, ordinary_weights(training.model, training.weights()), trained.card)
    files = context.publish([BEST, LAST, METRICS])
    watch = Stopwatch()
    with exact_float32(trained.runtime) as exact:
        measured = _measure(replace(trained, runtime=exact), teachers, spec.settings.attack)
        drawn = (training.model, trained.card, data.validation, spec.settings.draw)
        write_what_is_drawn(context.folder, spec.fingerprint, *drawn)
    return StageResult(
        **identity(context, spec, files),
        **circumstances(trained.runtime, data),
        model=spec.settings.model,
        configuration=found,
        **_training_facts(training),
        **measured,
        start=trained.origin,
        pretrained=loaded_weights(training.model),
        pruning=trained.pruning,
        steps=trained.steps,
        file=ModelFile(name=BEST, bytes=file_bytes(context.work / BEST)),
        cost=cost_of(context.work / BEST, trained.card, data, trained.runtime),
        seconds=_seconds(training, watch),
        processes=processes,
    )


def _seconds(training: Training, measuring: Stopwatch) -> Seconds:
    train = sum(row["epoch_time_sec"] for row in training.rows)
    return Seconds(total=training.total_watch.seconds, train=train, measure=measuring.seconds)


class _TrainingFacts(TypedDict):
    """The entries of a StageResult that a training has by itself, before anything more is measured."""

    parameters: int
    trainable_parameters: int
    epochs: int
    best_epoch: int
    attempts: int
    metric: str
    validation: BestAndLast
    images_per_second: float
    gpu_memory_mb: float


def _training_facts(training: Training) -> _TrainingFacts:
    assert training.best_epoch is not None
    best, last = training.validation(training.best_epoch), training.validation(-1)
    return _TrainingFacts(
        parameters=count_parameters(training.model),
        trainable_parameters=count_parameters(training.model, trainable=True),
        epochs=training.epoch,
        best_epoch=training.best_epoch + 1,
        attempts=training.attempt,
        metric=training.metric,
        validation=BestAndLast(best=recorded(best), last=recorded(last)),
        images_per_second=median(row["images_per_second"] for row in training.rows),
        gpu_memory_mb=max(row["gpu_memory_mb"] for row in training.rows),
    )


def loaded_weights(model: nn.Module) -> LoadedWeights | None:
    """Return what is recorded of the trained file that a model was built with; None where it began fresh."""
    facts: Mapping[str, object] | None = getattr(model, "started_from", None)
    return msgspec.convert(dict(facts), LoadedWeights) if facts else None


class _Measured(TypedDict):
    """The entries of a StageResult for what the weights are worth."""

    measured_in: str
    test: BestAndLast
    detail: Detail
    calibration: Calibration
    teacher_agreement: dict[str, Agreement] | None
    robustness: dict[str, dict[str, float]] | None


def _measure(trained: Trained, teachers: StageTeachers | None, bound: Attack | None) -> _Measured:
    """Measure the last and the best weights on the test part, the only time it is read, and what else is asked for."""
    training, store = trained.training, trained.data.test_store(instead_of_training=True)

    def measured(weights: Mapping[str, Tensor]) -> TestMeasurement:
        training.model.load_state_dict(weights)
        return measure_test(training.model, store, trained.card, trained.runtime)

    last, best = measured(training.weights()), measured(training.best_weights)  # the best stay loaded
    return _Measured(
        measured_in=trained.runtime.precision,
        test=BestAndLast(best=best.metrics, last=last.metrics),
        detail=best.detail,
        calibration=best.calibration,
        teacher_agreement=_agreement(trained, teachers) if teachers else None,
        robustness={**_damaged(trained, store), **_attacked(trained, store, bound)} or None,
    )


def _agreement(trained: Trained, teachers: StageTeachers) -> dict[str, Agreement]:
    """Return how far the best weights agree with each teacher on the validation images."""
    setup = TrainingSetup(card=trained.card, data=trained.data, runtime=trained.runtime)
    own = logits_of(trained.training.model, store=trained.data.validation, card=trained.card, runtime=trained.runtime)
    return {
        stage: Agreement(**asdict(agreement(own, logits.cpu().float(), multi_label=trained.card.multi_label)))
        for stage, logits in teachers.validation_logits(setup)
    }


def _damaged(trained: Trained, store: DeviceStore) -> dict[str, dict[str, float]]:
    """Measure the best weights where one of several modalities is missing or noisy; nothing where there is one."""
    arrays = trained.data.arrays
    if len(arrays.modalities) == 1:
        return {}
    scales = list(zip(*channel_statistics(arrays.train_images), arrays.mean, arrays.std, strict=True))
    means = [(mean - zero) / one for mean, _, zero, one in scales]
    deviations = [deviation / one for _, deviation, _, one in scales]
    model, card, runtime = trained.training.model, trained.card, trained.runtime
    return {
        name: measure_store(model, store=store, card=card, runtime=runtime, change=damage).as_dict()
        for name, damage in damages(arrays.modalities, means, deviations).items()
    }


def _attacked(trained: Trained, store: DeviceStore, bound: Attack | None) -> dict[str, dict[str, float]]:
    """Return the best weights' accuracy under attacks within a bound; nothing where none is asked for."""
    if bound is None:
        return {}
    scale, epsilon = PixelScale(trained.card.mean, trained.card.std), bound.epsilon
    attacks = {
        "fgsm": (fgsm(epsilon=epsilon, scale=scale), 1),
        "pgd": (pgd(epsilon=epsilon, scale=scale, steps=bound.steps), bound.steps),
    }
    return {
        name: {
            "accuracy": attacked_accuracy(trained.training.model, store.in_order(), attack),
            "epsilon": epsilon,
            "steps": steps,
        }
        for name, (attack, steps) in attacks.items()
    }
