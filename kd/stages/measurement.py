"""Measuring a model on a part of a stage's data, as its result records it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import msgspec
from torch import Tensor, nn

from kd.data.store import DeviceStore
from kd.evaluate.measure import ignore, measure
from kd.evaluate.metrics import Metrics
from kd.evaluate.multi_label import LabelScores
from kd.rundir import result_sections
from kd.train.device import Runtime
from kd.train.distributed import ALONE, Processes
from kd.train.weights import ModelCard


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


def measure_test(model: nn.Module, store: DeviceStore, card: ModelCard, runtime: Runtime) -> result_sections.Metrics:
    """Return the metrics of a model on the test part, with those of each label where images have several."""
    scores = LabelScores(card.classes)
    metrics = measure_store(
        model, store=store, card=card, runtime=runtime, also=scores.add if card.multi_label else ignore
    )
    summary = scores.summary() if card.multi_label else {}
    return msgspec.convert({**metrics.as_dict(), **summary}, result_sections.Metrics)


def recorded(metrics: Metrics) -> result_sections.Metrics:
    """Return metrics as a result records them."""
    return msgspec.convert(metrics.as_dict(), result_sections.Metrics)
