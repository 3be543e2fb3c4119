"""The training loop. It knows no method (the objective does) and no cluster (callbacks may raise to stop)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from kd.evaluate.metrics import Metrics
from kd.train.device import peak_gpu_memory_mb
from kd.train.distributed import ALONE, Processes
from kd.train.meter import TrainingDiverged
from kd.train.plain_step import PlainStep
from kd.train.schedules import Schedule
from kd.train.state import Row, Training
from kd.train.step import Batches, Objective, Step
from kd.train.update import Update

AfterStep = Callable[[Training], None]


def fit(
    training: Training,
    *,
    epochs: int,
    batches: Batches,
    objective: Objective,
    schedule: Schedule,
    validate: Callable[[nn.Module], Metrics],
    forward: nn.Module | None = None,
    patience: int | None = None,
    clip: float | None = None,
    accumulate: int = 1,
    processes: Processes = ALONE,
    made_of: Callable[[PlainStep], Step] = lambda step: step,
    after_step: AfterStep = lambda training: None,
    after_epoch: AfterStep = lambda training: None,
) -> None:
    """Train from wherever ``training`` stands to the end of ``epochs``, or until nothing got better for ``patience``.

    ``forward`` is the model as it is called, for example compiled, where that is another object than the one that
    owns the weights. ``clip`` bounds the norm of the gradients. ``accumulate`` is in how many parts a batch is
    computed, one after another, where it does not fit at once. ``made_of`` may put another form of the step in its
    place. Raises TrainingDiverged when a loss is not finite, and whatever the two callbacks raise.
    """
    runner = training.model if forward is None else forward
    update = Update(training.optimizer, clip=clip, scaler=training.scaler, processes=processes)
    plain = PlainStep(model=runner, update=update, objective=objective, average=training.average, accumulate=accumulate)
    step = made_of(plain)
    for group in training.optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    while not training.is_over(epochs, patience):
        runner.train()
        _train_epoch(training, batches, step, schedule, accumulate, processes, after_step)
        training.finish_epoch(_close_epoch(training, batches, validate, runner))
        after_epoch(training)


def _train_epoch(
    training: Training,
    batches: Batches,
    step: Step,
    schedule: Schedule,
    accumulate: int,
    processes: Processes,
    after_step: AfterStep,
) -> None:
    for batch in batches.epoch(training.epoch, first_step=training.step):
        moment = training.epoch + (training.step + 0.5) / batches.steps
        _set_learning_rate(training.optimizer, schedule(moment))
        losses = step(batch, training.epoch * batches.steps + training.step)
        costs = torch.cat([losses.total[None], losses.parts])
        labels = torch.cat([processes.gather(part.labels) for part in batch.parts(accumulate)])
        training.meter.add(training.step, costs, losses.logits, labels)
        training.step += 1
        after_step(training)


def _close_epoch(
    training: Training, batches: Batches, validate: Callable[[nn.Module], Metrics], runner: nn.Module
) -> Row:
    """Validate, and return the epoch's row for metrics.csv."""
    training.meter.check_finite(training.epoch)
    train, terms = training.meter.summary()
    images_per_second = sum(training.meter.counts) / training.epoch_watch.seconds
    with training.wearing_weights():
        val = validate(runner)
    if not math.isfinite(val.loss):
        raise TrainingDiverged(
            f"training diverged at the end of epoch {training.epoch + 1}: the validation loss is not finite; "
            "lower the learning rate (optimizer.lr)"
        )
    group = training.optimizer.param_groups[0]
    return {
        "epoch": training.epoch + 1,
        **{f"train_{name}": getattr(train, name) for name in _METRIC_ORDER},
        **{f"val_{name}": getattr(val, name) for name in _METRIC_ORDER},
        "learning_rate": float(group["lr"]),
        "epoch_time_sec": training.epoch_watch.seconds,
        "gpu_memory_mb": peak_gpu_memory_mb(training.meter.confusion.device),
        **{f"loss_{name}": value for name, value in terms.items()},
        "images_per_second": images_per_second,
    }


_METRIC_ORDER = ("loss", "accuracy", "precision", "recall", "f1_score")


def _set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
