"""MLflow: a run per training, in the experiment called like the pipeline, at the server of ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import os
import time

from kd.errors import UserError
from kd.rundir.metrics_file import Row
from kd.tracking.subject import Subject

SERVER = "MLFLOW_TRACKING_URI"
MOST_PARAMETERS = 100  # that MLflow takes at once


class MlflowCurve:
    """A run of MLflow. Raises ModuleNotFoundError without the library, UserError when no server is named."""

    def __init__(self, subject: Subject, run_id: str | None, newest_epoch: int) -> None:
        from mlflow import MlflowClient

        server = os.environ.get(SERVER)
        if not server:
            raise UserError(f"track: mlflow needs its server's address in {SERVER}")
        self._client = MlflowClient(server)
        self.run_id = run_id or self._new_run(subject)
        if run_id:
            self._client.update_run(run_id, status="RUNNING")

    def add(self, row: Row) -> None:
        """Add an epoch, which is the step."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, int(row["epoch"])) for name, value in row.items() if name != "epoch"]
        self._client.log_batch(self.run_id, metrics=metrics)

    def close(self, *, finished: bool) -> None:
        """State how the attempt ended."""
        self._client.set_terminated(self.run_id, "FINISHED" if finished else "KILLED")

    def _new_run(self, subject: Subject) -> str:
        from mlflow.entities import Param

        tags = {"kd.run": subject.run, "kd.job": subject.job, "kd.folder": str(subject.folder)}
        run = self._client.create_run(self._experiment(subject.pipeline), run_name=subject.name, tags=tags)
        run_id: str = run.info.run_id
        params = [Param(name, value[:500]) for name, value in subject.settings.items()]
        for first in range(0, len(params), MOST_PARAMETERS):
            self._client.log_batch(run_id, params=params[first : first + MOST_PARAMETERS])
        return run_id

    def _experiment(self, name: str) -> str:
        """Return the id of the experiment; of several jobs that make it at once, one succeeds."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                made: str = self._client.create_experiment(name)
                return made
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        experiment: str = found.experiment_id
        return experiment
