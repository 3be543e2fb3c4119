"""Everything that shows a training to people while it runs: lines, a bar on a terminal, curves in other programs."""

from __future__ import annotations

import msgspec

from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.training.epoch_line import epoch_line
from kd.stages.training.progress_bar import ProgressBar
from kd.tracking.subject import Subject, dotted
from kd.tracking.tracking import Tracking
from kd.train.state import Training


class Watching:
    """What is shown of one training, by its first process."""

    def __init__(self, context: StageContext, spec: StageSpec[TrainSettings], *, steps: int) -> None:
        self._job, self._epochs = str(spec.key), spec.settings.epochs
        self._bar = ProgressBar(self._job, epochs=self._epochs, steps=steps)
        subject = Subject(
            pipeline=spec.pipeline,
            run=context.folder.run.name,
            job=self._job,
            folder=context.folder.path,
            settings=dict(dotted(msgspec.to_builtins(spec.settings))),
        )
        self._tracking = Tracking(spec.settings.track, context.folder, spec.fingerprint, subject)

    def resume(self, training: Training) -> None:
        """Begin to show it. Raises UserError when a program that is to show its curves is not installed."""
        self._tracking.resume(training.rows)

    def step(self, training: Training) -> None:
        """Show a step."""
        self._bar.show(training)

    def epoch(self, training: Training) -> None:
        """Show a finished epoch."""
        self._bar.hide()
        print(epoch_line(training, job=self._job, epochs=self._epochs), flush=True)
        self._tracking.add(training.rows[-1])

    def close(self, *, finished: bool) -> None:
        """Show no more; ``finished`` is whether the training is over."""
        self._bar.hide()
        self._tracking.close(finished=finished)
