"""When a training is saved, stops and reports progress: the callbacks between the loop and the stage's folder."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

from kd.rundir.folders import CHECKPOINT, METRICS
from kd.rundir.metrics_file import MetricsFile
from kd.rundir.progress import Heartbeat, Progress, ProgressMetric, read_progress
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import Interrupted, StageContext
from kd.stages.training.watching import Watching
from kd.train.checkpoint import PREVIOUS, RESUME, load_resume, save_resume
from kd.train.distributed import Processes
from kd.train.state import Training

# a durable checkpoint at least this often, however long an epoch takes
CHECKPOINT_SECONDS = 300.0


def make_keeper(
    context: StageContext, spec: StageSpec[TrainSettings], *, steps: int, processes: Processes
) -> CheckpointReader:
    """Return the keeper of this process; all processes stop when one of them is asked to."""

    def stop_requested() -> bool:
        return processes.any(context.stop_requested())

    if processes.rank:
        return CheckpointReader(context, spec, stop_requested=stop_requested)
    return CheckpointKeeper(context, spec, steps=steps, stop_requested=stop_requested)


def patience_of(settings: TrainSettings) -> int | None:
    """Return after how many epochs without anything better a training stops, or None."""
    return None if settings.early_stopping is None else settings.early_stopping.patience


def beat(heartbeat: Heartbeat, progress: Progress) -> None:
    """Write a heartbeat, or a line on stderr: a full disk must not end a training before its next checkpoint does."""
    try:
        heartbeat.write(progress)
    except OSError as error:
        print(f"kd: no heartbeat: {heartbeat.path} cannot be written ({error.strerror})", file=sys.stderr)


class CheckpointReader:
    """The part of a keeper that a further process of a stage has: it resumes, and stops with the others."""

    def __init__(
        self, context: StageContext, spec: StageSpec[TrainSettings], *, stop_requested: Callable[[], bool]
    ) -> None:
        self._stop_requested, self._fingerprint = stop_requested, spec.fingerprint
        self._checkpoint = context.work / CHECKPOINT

    def resume(self, training: Training) -> None:
        """Take ``training`` back to its last checkpoint, if there is one."""
        saved = load_resume(self._checkpoint)
        if saved and saved["fingerprint"] != self._fingerprint:
            print("kd: the checkpoint is of other settings; training starts over", file=sys.stderr)
        elif saved:
            training.restore(saved["training"])

    def after_step(self, training: Training) -> None:
        """Stop if asked to. Raises Interrupted."""
        if self._stop_requested():
            raise Interrupted(f"stopped in epoch {training.epoch + 1} after step {training.step}")

    def after_epoch(self, training: Training) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class CheckpointKeeper(CheckpointReader):
    """Saves a training every so many epochs, every few minutes, at the end and when asked to stop."""

    def __init__(
        self,
        context: StageContext,
        spec: StageSpec[TrainSettings],
        *,
        steps: int,
        stop_requested: Callable[[], bool],
    ) -> None:
        super().__init__(context, spec, stop_requested=stop_requested)
        self._context, self._steps, self._patience = context, steps, patience_of(spec.settings)
        self._epochs = spec.settings.epochs
        self._checkpoint_every = spec.settings.checkpoint_every
        self._metrics = MetricsFile(context.work / METRICS)
        self._heartbeat = Heartbeat(context.folder.progress)
        self._watching, self._finished = Watching(context, spec, steps=steps), False
        self._saved_at = time.monotonic()

    def resume(self, training: Training) -> None:
        """Take ``training`` back to its last checkpoint, if there is one, and announce the attempt."""
        earlier = read_progress(self._context.folder)
        super().resume(training)
        training.attempt = max(training.attempt, (earlier.attempt if earlier else 0) + 1)
        self._metrics.rewrite(training.rows)
        self._watching.resume(training)
        self._finished = training.is_over(self._epochs, self._patience)
        self._beat(training)

    def after_step(self, training: Training) -> None:
        """Stop if asked to, save if it is time to. Raises Interrupted once everything is saved."""
        self._watching.step(training)
        if self._stop_requested():
            self.save(training)
            raise Interrupted(f"stopped in epoch {training.epoch + 1} after step {training.step}")
        if self._heartbeat.due():
            training.meter.check_finite(training.epoch)
            self._beat(training)
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save(training)

    def after_epoch(self, training: Training) -> None:
        """Write the epoch's row and show it; save if it is time to."""
        self._metrics.append(training.rows[-1])
        self._watching.epoch(training)
        self._finished = training.is_over(self._epochs, self._patience)
        if self._finished or training.epoch % self._checkpoint_every == 0:
            self.save(training)
        if self._finished or self._heartbeat.due():
            self._beat(training)

    def close(self) -> None:
        """End what shows the training."""
        self._watching.close(finished=self._finished)

    def save(self, training: Training) -> None:
        """Make the state durable. A state that has diverged is never saved over a good one."""
        training.meter.check_finite(training.epoch)
        save_resume(self._checkpoint, {"fingerprint": self._fingerprint, "training": training.snapshot()})
        names = [f"{CHECKPOINT}/{name}" for name in (PREVIOUS, RESUME) if (self._checkpoint / name).exists()]
        self._context.publish([*names, METRICS])  # the older one first: it is a mere rename
        self._saved_at = time.monotonic()

    def _beat(self, training: Training) -> None:
        last = training.rows[-1] if training.rows else None
        over = training.is_over(self._epochs, self._patience)
        metric = f"val_{training.metric}"
        progress = Progress(
            epoch=training.epoch if over else training.epoch + 1,
            epochs=self._epochs,
            step=self._steps if over else training.step,
            steps=self._steps,
            metric=ProgressMetric(name=metric, value=last[metric]) if last else None,
            seconds_per_epoch=last["epoch_time_sec"] if last else None,
            images_per_second=last["images_per_second"] if last else None,
            attempt=training.attempt,
            host=socket.gethostname(),
            job_id=self._context.job_id,
        )
        beat(self._heartbeat, progress)
