"""Curves in TensorBoard, W&B and MLflow, made and read by their own libraries: one curve, whatever interrupts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd.errors import UserError
from kd.rundir.folders import StageFolder
from kd.rundir.metrics_file import read_curve
from kd.rundir.tracked_file import read_tracked
from kd.stages.context import Interrupted
from kd.tracking.tracking import PROGRAMS
from tests.kd.conftest import damaged

STEPS = 4


class Killed(BaseException):
    """SIGKILL as far as a test can have it in its own process: nothing is saved on the way out."""


def stop_at(step: int, error: type[BaseException] | None = None):
    """Return a ``stop_requested`` that says yes, or raises, when it is asked for the ``step``-th time."""
    asked = 0

    def stop_requested() -> bool:
        nonlocal asked
        asked += 1
        if asked == step and error:
            raise error
        return asked == step

    return stop_requested


@pytest.fixture
def interrupted(run, spec, tmp_path: Path):
    """Train with ``track``: killed in epoch 4 of 6 (a checkpoint after 2), stopped in epoch 5, then to the end."""

    def go(*programs: str) -> StageFolder:
        where = tmp_path / "it" / "stages" / "baseline" / "seed-7"
        the_spec = spec(track=list(programs), epochs=6, checkpoint_every=2)
        with pytest.raises(Killed):
            run(where, the_spec, stop_requested=stop_at(3 * STEPS + 2, Killed))
        with pytest.raises(Interrupted):
            run(where, the_spec, stop_requested=stop_at(2 * STEPS + 2))
        return run(where, the_spec)

    return go


def test_tensorboard_reads_one_curve_of_an_interrupted_training(interrupted) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = interrupted("tensorboard")
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert {"train_loss", "val_loss", "val_accuracy", "learning_rate", "images_per_second"} <= set(
        events.Tags()["scalars"]
    )
    for name in ("train_loss", "val_accuracy"):
        points = {event.step: event.value for event in events.Scalars(name)}
        assert len(points) == len(events.Scalars(name))
        assert points == pytest.approx(read_curve(folder.metrics, name), rel=1e-6)
    assert len(list((folder.path / "tensorboard").iterdir())) == 3  # a file for each attempt
    assert damaged(folder) == []


def test_wandb_goes_on_with_the_same_run_without_a_network(interrupted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = interrupted("wandb")
    run_id = read_tracked(folder, "baseline-1").curves["wandb"].run_id
    parts = list((folder.path / "wandb").glob("offline-run-*"))
    assert len(parts) == 3
    assert all((part / f"run-{run_id}.wandb").stat().st_size > 0 for part in parts)


def test_mlflow_has_each_epoch_once_in_one_run(interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    folder = interrupted("mlflow")
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("cnn").experiment_id])
    history = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert {point.step: point.value for point in history} == pytest.approx(read_curve(folder.metrics, "val_accuracy"))
    assert len(history) == 6
    assert (run.info.run_name, run.info.status) == ("it/baseline/seed-7", "FINISHED")
    assert run.data.params["optimizer.arguments.lr"] == "0.05"


def test_a_program_that_fails_costs_a_line_and_not_the_training(
    run, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    class Failing:
        run_id = "1"

        def __init__(self, *_: object) -> None:
            pass

        def add(self, row: object) -> None:
            raise TimeoutError("no answer\nfrom the server")

    monkeypatch.setitem(PROGRAMS, "wandb", Failing)
    folder = run(tmp_path, spec(track=["wandb"]))
    assert json.loads(folder.result.read_text())["epochs"] == 3
    err = capsys.readouterr().err
    assert err == "kd: wandb shows this training no further: no answer from the server\n"
    assert read_tracked(folder, "baseline-1").curves["wandb"].epoch == 0  # a later attempt sends them all


def test_a_program_that_is_not_installed_is_named_before_the_first_step(
    run, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setitem(PROGRAMS, "wandb", absent)
    with pytest.raises(UserError, match=r"^track: wandb is not installed: pip install 'kd-slurm\[wandb\]'$"):
        run(tmp_path, spec(track=["wandb"]))


def test_mlflow_without_a_server_names_the_variable(run, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"^track: mlflow needs its server's address in MLFLOW_TRACKING_URI$"):
        run(tmp_path, spec(track=["mlflow"]))


def test_curves_of_another_training_in_the_same_folder_are_not_gone_on_with(interrupted) -> None:
    folder = interrupted("tensorboard")
    assert read_tracked(folder, "baseline-1").curves["tensorboard"].epoch == 6
    assert read_tracked(folder, "another").curves == {}
