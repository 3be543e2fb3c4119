"""W&B (Weights & Biases): one run per training. ``WANDB_MODE=offline`` and the like are the library's own.

Offline runs lie in the stage's folder; ``wandb sync`` sends them, one part per attempt, into the one run.
"""

from __future__ import annotations

import uuid

from kd.rundir.metrics_file import Row
from kd.tracking.subject import Subject


class WandbCurve:
    """A run of W&B, in the project called like the pipeline. Raises ModuleNotFoundError without the library."""

    def __init__(self, subject: Subject, run_id: str | None, newest_epoch: int) -> None:
        import wandb

        self.run_id = run_id or uuid.uuid4().hex
        self._run = wandb.init(
            project=subject.pipeline,
            group=subject.run,
            name=subject.name,
            id=self.run_id,
            resume="allow",
            dir=str(subject.folder),
            config=dict(subject.settings),
            settings=wandb.Settings(console="off", silent=True, disable_git=True),
        )

    def add(self, row: Row) -> None:
        """Add an epoch, which is the step."""
        self._run.log(dict(row), step=int(row["epoch"]))

    def close(self, *, finished: bool) -> None:
        """Send what is left."""
        self._run.finish(exit_code=0 if finished else 1)
