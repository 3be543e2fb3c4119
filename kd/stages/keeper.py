"""When a training saves itself, stops and reports: the callbacks between the loop and the stage's folder."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from kd.rundir import read_object
from kd.stages.context import Interrupted, StageContext
from kd.train.checkpoint import PREVIOUS, RESUME, load_resume, save_resume
from kd.train.journal import Heartbeat, MetricsFile
from kd.train.state import Training

# a durable checkpoint at least this often, however long an epoch takes
CHECKPOINT_SECONDS = 300.0


class Keeper:
    """Saves a training every so many epochs, every few minutes, at the end and when asked to stop."""

    def __init__(self, context: StageContext, spec: Mapping[str, Any], *, steps: int) -> None:
        self._context, self._fingerprint, self._steps = context, spec["fingerprint"], steps
        self._epochs: int = spec["settings"]["epochs"]
        self._checkpoint_every: int = spec["settings"]["checkpoint_every"]
        self._checkpoint = context.work / "checkpoint"
        self._metrics = MetricsFile(context.work / "metrics.csv")
        self._heartbeat = Heartbeat(context.folder.progress)
        self._saved_at = time.monotonic()

    def resume(self, training: Training) -> None:
        """Take ``training`` back to its last checkpoint, if there is one, and announce the attempt."""
        earlier = read_object(self._context.folder.progress) or {}
        saved = load_resume(self._checkpoint)
        if saved and saved["fingerprint"] != self._fingerprint:
            print("kd: the checkpoint is of other settings; training starts over", file=sys.stderr)
        elif saved:
            training.restore(saved["training"])
        training.attempt = max(training.attempt, int(earlier.get("attempt", 0)) + 1)
        self._metrics.rewrite(training.rows)
        self._beat(training)

    def after_step(self, training: Training) -> None:
        """Stop if asked to, save if it is time to. Raises Interrupted once everything is saved."""
        if self._context.stop_requested():
            self.save(training)
            raise Interrupted(f"stopped in epoch {training.epoch + 1} after step {training.step}")
        if self._heartbeat.due():
            training.meter.check_finite(training.epoch)
            self._beat(training)
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save(training)

    def after_epoch(self, training: Training) -> None:
        """Write the epoch's row; save if it is time to."""
        self._metrics.append(training.rows[-1])
        finished = training.epoch == self._epochs
        if finished or training.epoch % self._checkpoint_every == 0:
            self.save(training)
        if finished or self._heartbeat.due():
            self._beat(training)

    def save(self, training: Training) -> None:
        """Make the state durable. A state that has diverged is never saved over a good one."""
        training.meter.check_finite(training.epoch)
        save_resume(self._checkpoint, {"fingerprint": self._fingerprint, "training": training.snapshot()})
        names = [f"checkpoint/{name}" for name in (PREVIOUS, RESUME) if (self._checkpoint / name).exists()]
        self._context.publish([*names, "metrics.csv"])  # the older one first: it is a mere rename
        self._saved_at = time.monotonic()

    def _beat(self, training: Training) -> None:
        last = training.rows[-1] if training.rows else None
        values: dict[str, Any] = {
            "epoch": min(training.epoch + 1, self._epochs),
            "epochs": self._epochs,
            "step": training.step if training.epoch < self._epochs else self._steps,
            "steps": self._steps,
            "metric": {"name": "val_accuracy", "value": last["val_accuracy"]} if last else None,
            "seconds_per_epoch": last["epoch_time_sec"] if last else None,
            "images_per_second": last["images_per_second"] if last else None,
            "attempt": training.attempt,
            "host": socket.gethostname(),
            "job_id": self._context.facts.get("job_id"),
        }
        self._heartbeat.write(values)
