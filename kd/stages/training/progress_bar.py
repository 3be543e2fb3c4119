"""A bar under the lines of a training, where a person looks at a terminal. Logs and pipes get none of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kd.train.state import Training

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBar:
    """How far a training is, step by step. It goes to the terminal itself, past the log that copies what is printed."""

    def __init__(self, job: str, *, epochs: int, steps: int) -> None:
        self._job, self._epochs, self._steps = job, epochs, steps
        self._shown: tuple[Progress, TaskID] | None = None
        self._wanted = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.__stdout__))

    def show(self, training: Training) -> None:
        """Move the bar to where the training stands."""
        if not self._wanted:
            return
        progress, task = self._shown or self._new(training)
        text = f"{self._job} epoch {min(training.epoch + 1, self._epochs)}/{self._epochs}"
        progress.update(task, completed=self._done(training), description=text)
        progress.start()  # nothing happens where it is on already

    def hide(self) -> None:
        """Take the bar away, so that a line can be printed where it was."""
        if self._shown is not None:
            self._shown[0].stop()

    def _new(self, training: Training) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), "steps", TimeRemainingColumn())
        progress = Progress(
            *columns,
            console=Console(file=sys.__stdout__),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        task = progress.add_task(self._job, total=self._epochs * self._steps, completed=self._done(training))
        self._shown = progress, task
        return self._shown

    def _done(self, training: Training) -> int:
        return training.epoch * self._steps + training.step
