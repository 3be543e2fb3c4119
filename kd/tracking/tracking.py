"""The one adapter between a training and the programs that show it.

An epoch stands in a curve once, however often the training was interrupted: what an attempt does again gives the same
numbers. A program that fails costs a line in the log, never the training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from kd.errors import UserError
from kd.rundir.folders import StageFolder
from kd.rundir.metrics_file import Row
from kd.rundir.tracked_file import TrackedCurve, read_tracked, write_tracked
from kd.tracking.mlflow_run import MlflowCurve
from kd.tracking.subject import Curve, Subject
from kd.tracking.tensorboard_events import TensorboardCurve
from kd.tracking.wandb_run import WandbCurve

# program as ``track`` names it -> what opens a curve: (subject, id of the curve or None, its newest epoch)
PROGRAMS: Mapping[str, Callable[[Subject, str | None, int], Curve]] = {
    "tensorboard": TensorboardCurve,
    "wandb": WandbCurve,
    "mlflow": MlflowCurve,
}


class Tracking:
    """The curves of one training in the programs asked for; none where none is."""

    def __init__(self, programs: Sequence[str], folder: StageFolder, fingerprint: str, subject: Subject) -> None:
        self._folder, self._subject = folder, subject
        self._tracked = read_tracked(folder, fingerprint)
        self._waiting, self._open = list(programs), dict[str, Curve]()

    def resume(self, rows: Sequence[Row]) -> None:
        """Open the curves, with all epochs so far in them. Raises UserError when a program is not installed."""
        for program in self._waiting:
            self._attempt(program, partial(self._begin, program))
        self._waiting.clear()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a finished epoch to every curve that lacks it."""
        for program, curve in list(self._open.items()):
            epoch = int(row["epoch"])
            if epoch > self._tracked.curves[program].epoch and self._attempt(program, partial(curve.add, row)):
                self._note(program, TrackedCurve(run_id=curve.run_id, epoch=epoch))

    def close(self, *, finished: bool) -> None:
        """Close the curves; ``finished`` is whether the training is over."""
        for program, curve in list(self._open.items()):
            self._attempt(program, partial(curve.close, finished=finished))
        self._open.clear()

    def _begin(self, program: str) -> None:
        known = self._tracked.curves.get(program)
        curve = PROGRAMS[program](self._subject, known.run_id if known else None, known.epoch if known else 0)
        self._open[program] = curve
        self._note(program, known or TrackedCurve(run_id=curve.run_id))

    def _note(self, program: str, curve: TrackedCurve) -> None:
        self._tracked = replace(self._tracked, curves={**self._tracked.curves, program: curve})
        write_tracked(self._folder, self._tracked)

    def _attempt(self, program: str, action: Callable[[], None]) -> bool:
        """Return whether something could be done in a program. A failure ends its curve for this attempt, in a line."""
        try:
            action()
        except ModuleNotFoundError as error:
            raise UserError(f"track: {program} is not installed: pip install 'kd-slurm[{program}]'") from error
        except UserError:
            raise
        except Exception as error:  # of any type: a server's trouble is no reason to stop training
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"kd: {program} shows this training no further: {reason}", file=sys.stderr)
            self._open.pop(program, None)
            return False
        return True
