"""Everything a training would lose by being killed, in one place, and how it is saved and taken back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from kd.evaluate.metrics import Metrics
from kd.train.average import WeightAverage
from kd.train.checkpoint import random_state, set_random_state
from kd.train.meter import Meter

Row = dict[str, float]  # one epoch of metrics.csv, by column


class Stopwatch:
    """Seconds that were spent, over all attempts."""

    def __init__(self) -> None:
        self.restart()

    def restart(self, carried: float = 0.0) -> None:
        """Count on from ``carried`` seconds."""
        self._carried, self._started = carried, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._carried + time.perf_counter() - self._started


@dataclass(kw_only=True, slots=True, eq=False)
class Training:
    """A training under way. ``epoch`` counts finished epochs, ``step`` finished steps of the one under way.

    ``rows`` holds one row per finished epoch. ``best_epoch`` (from 0, an index into ``rows``) is the one
    whose weights ``best_weights`` are: that of the highest validation ``metric``. ``adapters`` are what losses train
    beside the model. With an ``average``, validated and exported weights are the averaged ones.
    """

    model: nn.Module
    optimizer: Optimizer
    meter: Meter
    metric: str = "accuracy"
    adapters: nn.Module = field(default_factory=nn.ModuleDict)
    average: WeightAverage | None = None
    scaler: GradScaler | None = None
    epoch: int = 0
    step: int = 0
    attempt: int = 1
    rows: list[Row] = field(default_factory=list)
    best_epoch: int | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    epoch_watch: Stopwatch = field(default_factory=Stopwatch)
    total_watch: Stopwatch = field(default_factory=Stopwatch)

    def finish_epoch(self, row: Row) -> None:
        """Close the epoch with its row, keep the weights if they are the best so far, begin the next."""
        self.rows.append(row)
        if self.best_epoch is None or self._rank(row) > self._rank(self.rows[self.best_epoch]):
            self.best_epoch = self.epoch
            self.best_weights = {name: tensor.detach().clone() for name, tensor in self.weights().items()}
        self.epoch += 1
        self.step = 0
        self.meter.reset()
        self.epoch_watch.restart()

    def weights(self) -> Mapping[str, Tensor]:
        """Return the weights that count: the averaged ones where there are such, else the model's."""
        return self.model.state_dict() if self.average is None else self.average.weights

    def wearing_weights(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the weights that count."""
        return nullcontext() if self.average is None else self.average.worn_by(self.model)

    def is_over(self, epochs: int, patience: int | None = None) -> bool:
        """Whether all ``epochs`` are done, or the last ``patience`` of them brought nothing better."""
        waited = 0 if self.best_epoch is None else self.epoch - 1 - self.best_epoch
        return self.epoch >= epochs or (patience is not None and waited >= patience)

    def validation(self, epoch: int) -> Metrics:
        """Return the validation metrics of a finished epoch (an index, -1 for the last)."""
        row = self.rows[epoch]
        return Metrics(**{name: row[f"val_{name}"] for name in Metrics.__dataclass_fields__})

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as tensors, numbers, strings, lists and dictionaries."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adapters": self.adapters.state_dict(),
            **({} if self.average is None else {"average": self.average.weights}),
            **({} if self.scaler is None else {"scaler": self.scaler.state_dict()}),
            "meter": self.meter.state(),
            "random": random_state(),
            "epoch": self.epoch,
            "step": self.step,
            "attempt": self.attempt,
            "rows": self.rows,
            "best_epoch": self.best_epoch,
            "best_weights": self._best_weights_to_save(),
            "epoch_seconds": self.epoch_watch.seconds,
            "total_seconds": self.total_watch.seconds,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue from a snapshot, as attempt number one more than the one that saved it."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.adapters.load_state_dict(saved["adapters"])
        if self.average is not None:
            self.average.load(saved["average"])
        if self.scaler is not None:
            self.scaler.load_state_dict(saved["scaler"])
        self.meter.load(saved["meter"])
        device = self.meter.confusion.device
        self.epoch, self.step = saved["epoch"], saved["step"]
        self.attempt = saved["attempt"] + 1
        self.rows, self.best_epoch = saved["rows"], saved["best_epoch"]
        self.best_weights = {name: tensor.to(device, copy=True) for name, tensor in saved["best_weights"].items()}
        self.epoch_watch.restart(saved["epoch_seconds"])
        self.total_watch.restart(saved["total_seconds"])
        set_random_state(saved["random"])

    def _best_weights_to_save(self) -> Mapping[str, Tensor]:
        """Return the best weights: right after the best epoch the current ones, equal and thus written only once."""
        just_found = self.step == 0 and self.best_epoch == self.epoch - 1
        return self.weights() if just_found else self.best_weights

    def _rank(self, row: Row) -> tuple[float, float]:
        """Higher is better: the validation metric, then lower loss. Of equal ranks the earlier epoch stays."""
        return row[f"val_{self.metric}"], -row["val_loss"]
