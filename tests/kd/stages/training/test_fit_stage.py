"""Whole trainings through run_stage: what they leave behind, and that being killed leaves no trace in it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kd.errors import SpecError, UserError
from kd.files import sha256_file
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import JobFacts
from kd.stages.context import Interrupted
from kd.train.weights import load_weights
from tests.kd.conftest import damaged

pytestmark = pytest.mark.cpu  # equal bits without `deterministic`

STEPS, EPOCHS = 4, 3
KINDS = ["train", "distill"]


def outcome(folder: StageFolder) -> dict[str, Any]:
    """Return everything about a finished stage that may not depend on how often it was interrupted."""
    result = json.loads(folder.result.read_text())
    with open(folder.metrics, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["epoch_time_sec"], row["images_per_second"]
    kept = ("validation", "test", "best_epoch", "epochs", "parameters", "data")
    weights = {name: sha256_file(folder.checkpoint / f"{name}.safetensors") for name in ("best", "last")}
    return {"rows": rows, **weights, **{key: result[key] for key in kept}}


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, dict[str, Any]]:
    """What each kind comes to when nothing happens to it; filled on first use."""
    return {}


@pytest.fixture(params=KINDS)
def job(request, spec, run, teacher, uninterrupted, tmp_path: Path):
    """One kind of stage: its spec, its surroundings, and what it comes to."""
    kind = request.param
    the_spec = spec("student", kind=kind)
    parents = {"teacher": teacher} if kind == "distill" else {}
    if kind not in uninterrupted:
        uninterrupted[kind] = outcome(run(tmp_path / "whole", the_spec, parents=parents))
    return the_spec, {"parents": parents}, uninterrupted[kind]


class Killed(BaseException):
    """SIGKILL as far as a test can have it in its own process: nothing is saved on the way out."""


def stop_at(step: int, *, kill: bool = False):
    """Return a ``stop_requested`` that says yes, or dies, when asked for the ``step``-th time."""
    asked = 0

    def stop_requested() -> bool:
        nonlocal asked
        asked += 1
        if asked == step and kill:
            raise Killed
        return asked == step

    return stop_requested


def test_a_training_leaves_weights_metrics_progress_and_a_result(job, run, tmp_path: Path) -> None:
    the_spec, surroundings, _ = job
    folder = run(tmp_path / "it", the_spec, facts=JobFacts(job_id="12_3"), **surroundings)
    result = json.loads(folder.result.read_text())
    assert sorted(path.name for path in folder.checkpoint.iterdir()) == ["best.safetensors", "last.safetensors"]
    assert result["trainable_parameters"] == result["parameters"]
    assert result["cost"]["flops"] > 0
    assert next(result["cost"][place] for place in ("cpu", "gpu") if place in result["cost"])["latency"]["median"] > 0
    assert result["file"]["bytes"] == (folder.checkpoint / "best.safetensors").stat().st_size
    assert damaged(folder) == []
    assert sorted(result["files"]) == [
        "checkpoint/best.safetensors",
        "checkpoint/last.safetensors",
        "metrics.csv",
    ]
    assert (result["stage"], result["seed"], result["kind"]) == ("student", 7, the_spec["kind"])
    assert result["data"] | {"split_digest": ""} == {
        "name": "synthetic", "train": 70, "validation": 30, "test": 40, "classes": 4, "split_digest": "",
    }  # fmt: skip
    assert result["attempts"] == 1
    assert (result["job"]["job_id"], result["job"]["host"]) == ("12_3", None)
    assert 0 < result["seconds"]["train"] < result["seconds"]["total"]
    progress = json.loads(folder.progress.read_text())
    assert (progress["epoch"], progress["epochs"], progress["step"], progress["steps"]) == (3, 3, 4, 4)
    assert progress["metric"] == {"name": "val_accuracy", "value": result["validation"]["last"]["accuracy"]}
    assert progress["job_id"] == "12_3"


def test_a_training_in_parts_goes_on_as_if_never_stopped(run, spec, tmp_path: Path) -> None:
    settings = {"accumulate": 4, "mixup": {"alpha": 0.4}}
    whole = run(tmp_path / "whole", spec(**settings))
    with pytest.raises(Interrupted):
        run(tmp_path / "cut", spec(**settings), stop_requested=stop_at(6))
    assert outcome(run(tmp_path / "cut", spec(**settings))) == outcome(whole)


def test_parts_of_unequal_size_are_refused(run, spec, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"accumulate: a batch of 16 images cannot be cut into 3 equal parts$"):
        run(tmp_path, spec(accumulate=3))


def test_the_best_weights_are_those_of_the_best_validation_epoch(run, spec, tmp_path: Path) -> None:
    folder = run(tmp_path, spec(epochs=5, schedule={"name": "constant", "arguments": {}}))
    result = json.loads(folder.result.read_text())
    with open(folder.metrics, newline="") as file:
        rows = list(csv.DictReader(file))
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert accuracies[result["best_epoch"] - 1] == pytest.approx(max(accuracies))
    assert result["validation"]["best"]["accuracy"] == pytest.approx(max(accuracies))
    assert result["validation"]["last"]["accuracy"] == pytest.approx(accuracies[-1])


def test_a_training_learns(run, spec, tmp_path: Path) -> None:
    easy = spec(epochs=20)
    easy["data"]["arguments"]["noise"] = 0.3
    result = json.loads(run(tmp_path, easy).result.read_text())
    assert result["test"]["best"]["accuracy"] > 0.8  # chance is 0.25


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2, EPOCHS * STEPS])
def test_stopping_on_request_and_resuming_changes_nothing(job, run, tmp_path: Path, step: int) -> None:
    the_spec, surroundings, expected = job
    with pytest.raises(Interrupted):
        run(tmp_path / "it", the_spec, stop_requested=stop_at(step), **surroundings)
    assert not (tmp_path / "it" / "result.json").exists()
    folder = run(tmp_path / "it", the_spec, **surroundings)
    assert outcome(folder) == expected
    assert json.loads(folder.result.read_text())["attempts"] == 2


def test_a_training_stopped_after_every_single_step_still_ends_the_same(job, run, tmp_path: Path) -> None:
    the_spec, surroundings, expected = job
    for _ in range(EPOCHS * STEPS):
        with pytest.raises(Interrupted):
            run(tmp_path / "it", the_spec, stop_requested=lambda: True, **surroundings)
    folder = run(tmp_path / "it", the_spec, **surroundings)
    assert outcome(folder) == expected
    assert json.loads(folder.result.read_text())["attempts"] == EPOCHS * STEPS + 1


@pytest.mark.parametrize("step", [2, STEPS + 1, 2 * STEPS + 3])
def test_being_killed_loses_only_the_work_since_the_last_checkpoint(job, run, tmp_path: Path, step: int) -> None:
    the_spec, surroundings, expected = job
    with pytest.raises(Killed):
        run(tmp_path / "it", the_spec, stop_requested=stop_at(step, kill=True), **surroundings)
    steps_left = 0

    def count() -> bool:
        nonlocal steps_left
        steps_left += 1
        return False

    folder = run(tmp_path / "it", the_spec, stop_requested=count, **surroundings)
    assert outcome(folder) == expected
    assert steps_left == EPOCHS * STEPS - (step - 1) // STEPS * STEPS


def test_a_real_sigkill_in_another_process_changes_nothing(job, run, write_spec, tmp_path: Path) -> None:
    the_spec, surroundings, expected = job
    folder = write_spec(tmp_path / "it", the_spec)
    program = """
import os, signal, sys
from pathlib import Path
from kd.rundir.folders import StageFolder
from kd.run import run_stage
from kd.stages.context import in_place
asked = 0
def stop_requested():
    global asked
    asked += 1
    if asked == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return False
parents = {"teacher": Path(sys.argv[2])} if sys.argv[2:] else {}
run_stage(in_place(StageFolder(Path(sys.argv[1])), parents=parents, stop_requested=stop_requested))
"""
    teachers = [str(path) for path in surroundings["parents"].values()]
    source = Path(__file__).parents[4]
    died = subprocess.run(
        [sys.executable, "-c", program, str(folder.path), *teachers],
        cwd=source, env=os.environ | {"PYTHONPATH": str(source)}, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    assert outcome(run(tmp_path / "it", the_spec, **surroundings)) == expected


def test_a_kill_while_measuring_does_not_train_again(job, run, tmp_path: Path, monkeypatch) -> None:
    the_spec, surroundings, expected = job

    def die(*given: object) -> None:
        raise Killed

    monkeypatch.setattr("kd.stages.training.measure_and_publish.save_weights", die)
    with pytest.raises(Killed):
        run(tmp_path / "it", the_spec, **surroundings)
    monkeypatch.undo()
    monkeypatch.setenv("KD_THREADS", "1")

    def never() -> bool:
        raise AssertionError("a step was trained")

    assert outcome(run(tmp_path / "it", the_spec, stop_requested=never, **surroundings)) == expected


def test_damaged_checkpoints_cost_time_but_not_the_result(job, run, tmp_path: Path, capsys) -> None:
    the_spec, surroundings, expected = job
    with pytest.raises(Interrupted):
        run(tmp_path / "it", the_spec, stop_requested=stop_at(2 * STEPS + 1), **surroundings)
    for name in ("resume.pt", "resume.previous.pt"):
        path = tmp_path / "it" / "checkpoint" / name
        path.write_bytes(path.read_bytes()[:-40])
    assert outcome(run(tmp_path / "it", the_spec, **surroundings)) == expected
    assert capsys.readouterr().err.count("is damaged and ignored") == 2


def test_a_checkpoint_of_other_settings_is_not_continued(run, spec, tmp_path: Path, capsys) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec(), stop_requested=stop_at(5))
    changed = spec(batch_size=35) | {"fingerprint": "another"}
    assert json.loads(run(tmp_path / "it", changed).result.read_text())["fingerprint"] == "another"
    assert "of other settings" in capsys.readouterr().err


def test_arms_of_one_seed_start_from_the_same_weights(run, spec, teacher, tmp_path: Path) -> None:
    still = {"optimizer": {"name": "sgd", "arguments": {"lr": 1e-30}}, "epochs": 1}
    baseline = run(tmp_path / "baseline", spec("baseline", **still))
    distilled = run(tmp_path / "distilled", spec("distilled", kind="distill", **still), parents={"teacher": teacher})
    other = run(tmp_path / "other", spec("baseline", **still) | {"seed": 8})
    first, second, third = (
        load_weights(folder.checkpoint / "last.safetensors")[0]["fc.weight"] for folder in (baseline, distilled, other)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_divergence_is_one_line_and_leaves_a_good_checkpoint(run, spec, tmp_path: Path) -> None:
    wild = spec(optimizer={"name": "sgd", "arguments": {"lr": 1e30}})
    with pytest.raises(UserError, match="training diverged at epoch 1, step") as error:
        run(tmp_path, wild)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "checkpoint").glob("*"))


def test_a_training_without_validation_images_is_refused(run, spec, tmp_path: Path) -> None:
    lonely = spec()
    lonely["data"]["validation"] = 0
    with pytest.raises(UserError, match=r"data\.validation"):
        run(tmp_path, lonely)


def test_a_compiled_model_saves_the_same_names(run, spec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: torch.nn.Sequential(model))
    folder = run(tmp_path, spec(compile=True, epochs=1))
    assert "fc.weight" in load_weights(folder.checkpoint / "last.safetensors")[0]
