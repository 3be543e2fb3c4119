"""How a training ends: weights written, the test part read once, and the contents of result.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters, file_bytes, measure_latency
from kd.compress.fake_int8 import ordinary_weights
from kd.data.arrays import channel_statistics
from kd.data.store import DeviceStore
from kd.evaluate.damage import damages
from kd.evaluate.measure import ignore, measure
from kd.evaluate.metrics import Metrics
from kd.evaluate.multi_label import LabelScores
from kd.evaluate.robustness import PixelScale, attacked_accuracy, fgsm, pgd
from kd.stages.context import StageContext
from kd.stages.data import Data
from kd.stages.envelope import result_of
from kd.train.device import Runtime
from kd.train.distributed import ALONE, Processes
from kd.train.state import Stopwatch, Training
from kd.train.weights import ModelCard, save_weights

BEST, LAST = "checkpoint/best.safetensors", "checkpoint/last.safetensors"
LATENCY_ROUNDS = 20  # of one image; a file to deploy is timed more often, in kd.stages.export


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trained:
    """A training that is over, and what it was made of."""

    training: Training
    card: ModelCard
    data: Data
    runtime: Runtime
    facts: Mapping[str, Any] = field(default_factory=dict)  # how the model came about, where it did not start fresh


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


def conclude(context: StageContext, spec: Mapping[str, Any], trained: Trained, *, processes: int) -> dict[str, Any]:
    """Write the best and the last weights, measure both, and return the contents of result.json."""
    training, card, data, runtime = trained.training, trained.card, trained.data, trained.runtime
    save_weights(context.work / BEST, ordinary_weights(training.model, training.best_weights), card)
    save_weights(context.work / LAST, ordinary_weights(training.model, training.weights()), card)
    files = context.publish([BEST, LAST, "metrics.csv"])
    watch = Stopwatch()
    data.train.free()  # the test part takes its place on the device
    store = data.test_store()
    test = _measure_test(trained, store)
    robustness = {**_damaged(trained, store), **_attacked(trained, store, spec["settings"].get("attack"))}
    findings = {
        "model": dict(spec["settings"]["model"]),
        **({"configuration": spec["configuration"]} if "configuration" in spec else {}),
        **_training_facts(training),
        **trained.facts,
        "metric": training.metric,
        "test": test,
        **({"robustness": robustness} if robustness else {}),
        "file": {"name": BEST, "bytes": file_bytes(context.work / BEST)},
        "cost": _cost(trained),
        "seconds": {
            "total": training.total_watch.seconds,
            "train": sum(row["epoch_time_sec"] for row in training.rows),
            "measure": watch.seconds,
        },
        "processes": processes,
        "gpu_memory_mb": max(row["gpu_memory_mb"] for row in training.rows),
    }
    return result_of(context, spec, findings, runtime=runtime, data=data, files=files)


def _cost(trained: Trained) -> dict[str, Any]:
    """Return the operations of one image, and its latency on the device and in the precision of the training."""
    model, runtime, store = trained.training.model.eval(), trained.runtime, trained.data.validation
    image_CHW = store.batch(torch.zeros(1, dtype=torch.int64, device=runtime.device))[0]
    with runtime.autocast():
        latency = measure_latency(model, image_CHW, rounds=LATENCY_ROUNDS, warm_up=LATENCY_ROUNDS // 4)
    place = "gpu" if runtime.device.type == "cuda" else "cpu"
    return {"flops": count_flops(model, image_CHW), place: {"latency": asdict(latency)}}


def _measure_test(trained: Trained, store: DeviceStore) -> dict[str, dict[str, Any]]:
    """Measure the last and the best weights on the test part, the only time it is read; the best stay loaded."""
    training = trained.training

    def measured(weights: Mapping[str, Tensor]) -> dict[str, Any]:
        training.model.load_state_dict(weights)
        return measure_test(training.model, store, trained.card, trained.runtime)

    last = measured(training.weights())
    return {"best": measured(training.best_weights), "last": last}


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


def _attacked(trained: Trained, store: DeviceStore, bound: Mapping[str, Any] | None) -> dict[str, dict[str, float]]:
    """Return the best weights' accuracy under attacks within a bound; nothing where none is asked for."""
    if bound is None:
        return {}
    scale, epsilon = PixelScale(trained.card.mean, trained.card.std), bound["epsilon"]
    attacks = {
        "fgsm": fgsm(epsilon=epsilon, scale=scale),
        "pgd": pgd(epsilon=epsilon, scale=scale, steps=bound["steps"]),
    }
    return {
        name: {"accuracy": attacked_accuracy(trained.training.model, store.in_order(), attack), **bound}
        for name, attack in attacks.items()
    }


def measure_test(model: nn.Module, store: DeviceStore, card: ModelCard, runtime: Runtime) -> dict[str, Any]:
    """Return the metrics of a model on the test part; of several labels also those that take all scores."""
    scores = LabelScores(card.classes)
    metrics = measure_store(
        model, store=store, card=card, runtime=runtime, also=scores.add if card.multi_label else ignore
    )
    return {**metrics.as_dict(), **(scores.summary() if card.multi_label else {})}


def _training_facts(training: Training) -> dict[str, Any]:
    assert training.best_epoch is not None
    return {
        "parameters": count_parameters(training.model),
        "trainable_parameters": count_parameters(training.model, trainable=True),
        "epochs": training.epoch,
        "best_epoch": training.best_epoch + 1,
        "attempts": training.attempt,
        "validation": {
            "best": training.validation(training.best_epoch).as_dict(),
            "last": training.validation(-1).as_dict(),
        },
        "images_per_second": median(row["images_per_second"] for row in training.rows),
    }
