"""TensorBoard: event files in the stage's folder, ``tensorboard --logdir results/RUN/stages`` shows them."""

from __future__ import annotations

from kd.rundir.metrics_file import Row
from kd.tracking.subject import Subject

FOLDER = "tensorboard"


class TensorboardCurve:
    """Event files of one training. Raises ModuleNotFoundError where tensorboard is not installed."""

    def __init__(self, subject: Subject, run_id: str | None, newest_epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run_id = run_id or FOLDER
        # TensorBoard drops what an attempt that was killed wrote of the epochs from here on.
        self._writer = SummaryWriter(str(subject.folder / FOLDER), purge_step=newest_epoch + 1)

    def add(self, row: Row) -> None:
        """Add an epoch."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._writer.close()
