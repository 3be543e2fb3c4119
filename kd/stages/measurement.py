"""Measuring a model on a part of a stage's data, as its result records it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from kd.data.store import DeviceStore
from kd.evaluate import detail
from kd.evaluate.measure import ignore, measure
from kd.evaluate.metrics import Metrics
from kd.evaluate.multi_label import LabelScores
from kd.rundir import class_scores, result_sections
from kd.train.device import Runtime
from kd.train.distributed import ALONE, Processes
from kd.train.weights import ModelCard

MOST_CLASSES = 200  # of a confusion matrix in a result; that of ImageNet would take 10 MB


class TestMeasurement(NamedTuple):
    """What one reading of the test part gives."""

    metrics: result_sections.Metrics
    detail: class_scores.Detail
    calibration: result_sections.Calibration


def measure_store(
    model: nn.Module,
    *,
    store: DeviceStore,
    card: ModelCard,
    runtime: Runtime,
    processes: Processes = ALONE,
    also: Callable[[Tensor, Tensor], None] = ignore,
    change: Callable[[Tensor], Tensor] = lambda images: images,
) -> Metrics:
    """Return the metrics of a model on one part of the data, not augmented, each process measuring its share.

    The model is shown what ``change`` makes of the images.
    """
    own = islice(store.in_order(), processes.rank, None, processes.count)
    batches = ((change(images), labels) for images, labels in own)
    return measure(
        model,
        batches,
        num_classes=len(card.classes),
        device=runtime.device,
        multi_label=card.multi_label,
        autocast=runtime.autocast,
        add_up=processes.add_up,
        also=also,
    )


def measure_test(model: nn.Module, store: DeviceStore, card: ModelCard, runtime: Runtime) -> TestMeasurement:
    """Measure a model on the test part: its metrics (of each label, where images have several), classes, confidence."""
    scores = LabelScores(card.classes)
    outputs: list[Tensor] = []

    def keep(logits: Tensor, labels: Tensor) -> None:
        outputs.append(logits.cpu())
        if card.multi_label:
            scores.add(logits, labels)

    metrics = measure_store(model, store=store, card=card, runtime=runtime, also=keep)
    summary = scores.summary() if card.multi_label else {}
    found = detail.detail_of(torch.cat(outputs), store.labels, card.classes)
    return TestMeasurement(
        metrics=msgspec.convert({**metrics.as_dict(), **summary}, result_sections.Metrics),
        detail=_recorded_detail(found),
        calibration=_recorded_calibration(found, part="test"),
    )


def logits_of(model: nn.Module, *, store: DeviceStore, card: ModelCard, runtime: Runtime) -> Tensor:
    """Return a model's logits [N, C] of one part of the data, in its order, on the CPU."""
    outputs: list[Tensor] = []
    measure_store(model, store=store, card=card, runtime=runtime, also=lambda logits, _: outputs.append(logits.cpu()))
    return torch.cat(outputs)


def _recorded_detail(found: detail.Detail) -> class_scores.Detail:
    rows = torch.tensor(found.confusion).flatten(1).tolist() if len(found.classes) <= MOST_CLASSES else None
    classes = {name: class_scores.ClassScores(**asdict(scores)) for name, scores in found.classes.items()}
    return class_scores.Detail(classes=classes, confusion=rows)


def _recorded_calibration(found: detail.Detail, *, part: str) -> result_sections.Calibration:
    bins = found.calibration
    return result_sections.Calibration(
        part=part,
        expected_error=bins.expected_error,
        negative_log_likelihood=found.negative_log_likelihood,
        counts=list(bins.counts),
        confidence=list(bins.confidence),
        accuracy=list(bins.accuracy),
    )


def recorded(metrics: Metrics) -> result_sections.Metrics:
    """Return metrics as a result records them."""
    return msgspec.convert(metrics.as_dict(), result_sections.Metrics)
