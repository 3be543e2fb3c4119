"""The options of a training: each changes something, and none leaves a trace of an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kd.stages.context import Interrupted
from kd.train.weights import load_weights
from tests.kd.stages.training.test_fit_stage import STEPS, outcome, stop_at

CONSTANT = {"name": "constant", "arguments": {}}
OPTIONS: dict[str, dict[str, Any]] = {
    "ema": {"ema": {"decay": 0.9}},
    "clip": {"clip": 0.05},
    "mixup": {"mixup": {"alpha": 0.4}},
    "cutmix": {"cutmix": {"alpha": 1.0}},
    "mixup and cutmix": {"mixup": {"alpha": 0.4}, "cutmix": {"alpha": 1.0}},
    "cutout": {"augment": {"crop": 1, "flip": True, "cutout": 3}},
    "sampling": {"sampling": "balanced"},
    "float16": {"precision": "float16"},
    "float16 and clip": {"precision": "float16", "clip": 0.05},
    "deterministic": {"deterministic": True},
    "no_decay": {
        "no_decay": True,
        "optimizer": {"name": "sgd", "arguments": {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}},
    },
    "everything": {
        "ema": {"decay": 0.9}, "clip": 0.5, "mixup": {"alpha": 0.4}, "cutmix": {"alpha": 1.0},
        "augment": {"crop": 1, "flip": True, "cutout": 3}, "early_stopping": {"patience": 2},
        "optimizer": {"name": "adamw", "arguments": {"lr": 0.01}},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_before():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """What a training comes to without any option; filled on first use."""
    return {}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.cpu  # equal bits without `deterministic`
def test_an_interruption_within_an_epoch_changes_nothing(run, spec, tmp_path: Path, option: str) -> None:
    whole = outcome(run(tmp_path / "whole", spec(**OPTIONS[option])))
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec(**OPTIONS[option]), stop_requested=stop_at(STEPS + 2))
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec(**OPTIONS[option]), stop_requested=stop_at(STEPS))
    assert outcome(run(tmp_path / "it", spec(**OPTIONS[option]))) == whole


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "deterministic"])
def test_each_option_changes_the_weights(run, spec, tmp_path: Path, plain, option: str) -> None:
    if not plain:
        plain.update(outcome(run(tmp_path / "plain", spec())))
    assert outcome(run(tmp_path / "it", spec(**OPTIONS[option])))["last"] != plain["last"]


def test_sparing_norms_and_biases_makes_a_difference_of_its_own(run, spec, tmp_path: Path) -> None:
    decayed = {**OPTIONS["no_decay"], "no_decay": False}
    spared = outcome(run(tmp_path / "spared", spec(**OPTIONS["no_decay"])))
    assert outcome(run(tmp_path / "decayed", spec(**decayed)))["last"] != spared["last"]


@pytest.mark.cpu  # equal bits without `deterministic`
def test_distillation_takes_mixed_images_from_the_very_batches_the_student_sees(run, spec, teacher, tmp_path) -> None:
    options = {"mixup": {"alpha": 0.4}, "cutmix": {"alpha": 1.0}, "epochs": 2}
    parents = {"teacher": teacher}
    whole = outcome(run(tmp_path / "whole", spec(kind="distill", **options), parents=parents))
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec(kind="distill", **options), parents=parents, stop_requested=stop_at(STEPS - 1))
    assert outcome(run(tmp_path / "it", spec(kind="distill", **options), parents=parents)) == whole


def test_averaged_weights_are_those_that_are_measured_and_exported(run, spec, tmp_path: Path) -> None:
    """With a decay near 0 the average is all but the weights themselves; a larger one lags behind them."""
    last = {}
    for name, options in {"plain": {}, "quick": {"ema": {"decay": 1e-9}}, "slow": {"ema": {"decay": 0.9}}}.items():
        folder = run(tmp_path / name, spec(precision="float32", **options))
        last[name] = load_weights(folder.checkpoint / "last.safetensors")[0]["fc.weight"]
    torch.testing.assert_close(last["quick"], last["plain"], rtol=1e-6, atol=1e-7)
    assert not torch.allclose(last["slow"], last["plain"], rtol=1e-3)


def test_patience_ends_a_training_that_gets_no_better(run, spec, tmp_path: Path) -> None:
    still = {"optimizer": {"name": "sgd", "arguments": {"lr": 1e-30, "momentum": 0.0}}, "schedule": CONSTANT}
    folder = run(tmp_path, spec(epochs=50, early_stopping={"patience": 4}, **still))
    result = json.loads(folder.result.read_text())
    assert result["epochs"] == result["best_epoch"] + 4 < 50
    progress = json.loads(folder.progress.read_text())
    assert (progress["epoch"], progress["epochs"], progress["step"]) == (result["epochs"], 50, STEPS)
    assert len(folder.metrics.read_text().splitlines()) == 1 + result["epochs"]


def test_a_training_that_stopped_early_is_not_continued_after_a_kill(run, spec, tmp_path: Path, monkeypatch) -> None:
    still = {"optimizer": {"name": "sgd", "arguments": {"lr": 1e-30, "momentum": 0.0}}, "schedule": CONSTANT}
    stops = spec(epochs=50, early_stopping={"patience": 2}, checkpoint_every=50, **still)

    class Killed(BaseException):
        pass

    def die(*given: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("kd.stages.training.measure_and_publish.save_weights", die)
        with pytest.raises(Killed):
            run(tmp_path, stops)

    def never() -> bool:
        raise AssertionError("a step was trained")

    folder = run(tmp_path, stops, stop_requested=never)
    assert json.loads(folder.result.read_text())["epochs"] < 50


def test_results_say_how_many_processes_and_how_much_gpu_memory(run, spec, tmp_path: Path) -> None:
    result = json.loads(run(tmp_path, spec(epochs=1)).result.read_text())
    assert result["processes"] == 1
    assert result["gpu_memory_mb"] >= 0
