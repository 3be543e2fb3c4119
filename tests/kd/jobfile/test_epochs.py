"""``--epochs N``: every training is so long, and what its schedule counts in epochs keeps its share of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kd.jobfile.load import load_pipeline
from kd.jobfile.stage import Pipeline
from tests.conftest import REPOSITORY

LoadText = Callable[..., Pipeline]
FaultsOf = Callable[..., Sequence[str]]


def trainings(job: Pipeline) -> dict[str, Any]:
    """Return the stages of a job that train."""
    return {name: stage for name, stage in job.stages.items() if getattr(stage, "optimizer", None)}


def test_milestones_keep_their_share_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_DATA", "/data")
    job = load_pipeline(str(REPOSITORY / "jobs/cnn_pipeline.yaml"), epochs=20)
    found = {name: (stage.epochs, stage.schedule.arguments["milestones"]) for name, stage in trainings(job).items()}
    assert found == {"teacher": (20, [10, 15, 18]), "baseline": (20, [10, 15, 18]), "distilled": (20, [10, 15, 18])}


@pytest.mark.parametrize("epochs", [1, 2, 5, 1000])
@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_job_file_takes_any_length(path: Any, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_DATA", "/data")
    assert {stage.epochs for stage in trainings(load_pipeline(str(path), epochs=epochs)).values()} == {epochs}


def test_a_warm_up_is_shortened_too(load_text: LoadText) -> None:
    text = """\
pipeline: warm
data: {name: digits, validation: 100}
seeds: [1]
stages:
  teacher: {kind: train, model: convnet, epochs: 40, batch_size: 32, optimizer: {name: sgd, lr: 0.1},
    schedule: {name: cosine, warmup: 4.0}}
"""
    assert trainings(load_text(text=text, epochs=10))["teacher"].schedule.arguments["warmup"] == 1.0


def test_no_epochs_are_refused(faults_of: FaultsOf) -> None:
    assert faults_of(epochs=0) == ("--epochs 0: expected at least 1",)
