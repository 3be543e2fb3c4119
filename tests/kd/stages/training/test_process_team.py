"""Stages of two real processes: the result of one process, interruptions and kills included."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from kd.errors import RunError, UserError
from kd.rundir.folders import StageFolder
from kd.stages.context import Interrupted
from kd.stages.training.process_team import process_count
from kd.train.weights import load_weights
from tests.kd.stages.training.test_fit_stage import EPOCHS, STEPS, outcome, stop_at

pytestmark = pytest.mark.cpu  # equal bits without `deterministic`, and two processes

REPOSITORY = Path(__file__).resolve().parents[4]
EXACT = {"precision": "float32"}
OPTIONS = {"ema": {"decay": 0.9}, "clip": 0.5, "mixup": {"alpha": 0.4}, "early_stopping": {"patience": 9}}


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two processes per stage, as on a machine with two GPUs."""
    monkeypatch.setenv("KD_PROCESSES", "2")
    return monkeypatch


def weights(folder: StageFolder) -> dict[str, torch.Tensor]:
    return load_weights(folder.checkpoint / "last.safetensors")[0]


def rows(folder: StageFolder) -> list[dict[str, str]]:
    with open(folder.metrics, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("kind", "settings"), [("train", {}), ("distill", OPTIONS)])
def test_two_processes_come_to_the_result_of_one(
    run, spec, teacher, tmp_path: Path, monkeypatch, kind: str, settings: dict[str, Any]
) -> None:
    the_spec = spec("student", kind=kind, **EXACT, **settings)
    parents = {"teacher": teacher} if kind == "distill" else {}
    alone = run(tmp_path / "one", the_spec, parents=parents)
    monkeypatch.setenv("KD_PROCESSES", "2")
    together = run(tmp_path / "two", the_spec, parents=parents)
    for name, expected in weights(alone).items():
        torch.testing.assert_close(weights(together)[name], expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(rows(together), rows(alone), strict=True):
        for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert float(ours[column]) == pytest.approx(float(theirs[column]), abs=1e-5)
    ours, theirs = (json.loads(folder.result.read_text()) for folder in (together, alone))
    assert (ours["processes"], theirs["processes"]) == (2, 1)
    assert ours["test"]["last"]["accuracy"] == pytest.approx(theirs["test"]["last"]["accuracy"])
    assert ours["data"] == theirs["data"]


def test_two_processes_stopped_within_epochs_end_with_the_same_bits(run, spec, tmp_path: Path, two) -> None:
    the_spec = spec(**OPTIONS)
    whole = outcome(run(tmp_path / "whole", the_spec))
    for step in (STEPS + 2, STEPS):
        with pytest.raises(Interrupted):
            run(tmp_path / "it", the_spec, stop_requested=stop_at(step))
    folder = run(tmp_path / "it", the_spec)
    assert outcome(folder) == whole
    assert json.loads(folder.result.read_text())["attempts"] == 3


def test_a_checkpoint_of_one_process_is_continued_by_two(run, spec, tmp_path: Path, monkeypatch) -> None:
    whole = run(tmp_path / "whole", spec(**EXACT))
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec(**EXACT), stop_requested=stop_at(STEPS + 1))
    monkeypatch.setenv("KD_PROCESSES", "2")
    folder = run(tmp_path / "it", spec(**EXACT))
    for name, expected in weights(whole).items():
        torch.testing.assert_close(weights(folder)[name], expected, rtol=1e-5, atol=1e-5)


FIRST = """
import sys
from pathlib import Path
from kd.rundir.folders import StageFolder
from kd.run import run_stage
from kd.stages.context import in_place
from kd.stages.training import follower_watch
follower_watch.STOPPED_SECONDS = 3.0
asked = 0
def stop_requested():
    global asked
    asked += 1
    if asked == 6:
        print("six", flush=True)
        sys.stdin.read()
    return False
run_stage(in_place(StageFolder(Path(sys.argv[1])), stop_requested=stop_requested))
"""


@pytest.fixture
def stuck(write_spec, spec, tmp_path: Path, two):
    """A first process that waits within its second epoch; yields it and its follower's process id."""
    folder = write_spec(tmp_path / "it", spec(epochs=EPOCHS))
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST, str(folder.path)],
        cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "six\n" in iter(process.stdout.readline, "")  # after the lines of its epochs
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    followers = [int(child) for child in children if b"kd.follower" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(followers) == 1
    yield process, followers[0]
    process.kill()
    process.communicate()


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_followers_end_when_the_first_is_killed_and_the_stage_is_unharmed(run, spec, tmp_path: Path, stuck) -> None:
    process, follower = stuck
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(follower)
    assert outcome(run(tmp_path / "it", spec())) == outcome(run(tmp_path / "whole", spec()))


def test_signals_of_a_scheduler_leave_followers_alone(stuck) -> None:
    process, follower = stuck
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(follower, number)
    _, errors = process.communicate("", timeout=60)
    assert process.returncode == 0, errors


def test_a_follower_that_dies_is_one_line_that_names_it(stuck) -> None:
    process, follower = stuck
    os.kill(follower, signal.SIGKILL)
    _, errors = process.communicate("", timeout=60)
    assert process.returncode == 1
    assert f"{RunError.__name__}: process 2 of 2 ended with code -9" in errors.splitlines()[-1]


def test_a_follower_that_is_stopped_is_one_line_within_seconds(stuck) -> None:
    process, follower = stuck
    os.kill(follower, signal.SIGSTOP)
    _, errors = process.communicate("", timeout=60)
    assert process.returncode == 1
    assert f"{RunError.__name__}: process 2 of 2 was stopped" in errors.splitlines()[-1]


def test_a_mistake_that_all_processes_meet_is_told_as_ever(run, spec, tmp_path: Path, two) -> None:
    with pytest.raises(UserError, match="training diverged at epoch 1, step"):
        run(tmp_path, spec(optimizer={"name": "sgd", "arguments": {"lr": 1e30}}))
    with pytest.raises(UserError, match="15 images cannot be shared equally by 2 processes"):
        run(tmp_path / "odd", spec(batch_size=15))


def test_a_bug_that_all_processes_meet_is_not_hidden_by_the_end_of_the_others(run, spec, tmp_path: Path, two) -> None:
    def stop_requested() -> bool:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run(tmp_path, spec(), stop_requested=stop_requested)


@pytest.mark.parametrize(
    ("gpus", "environment", "available", "count"),
    [
        (1, {}, 4, 1),
        (4, {}, 4, 4),
        (4, {}, 2, 2),  # what is there
        (2, {}, 0, 1),  # a machine without GPUs
        (0, {}, 8, 1),
        (1, {"KD_PROCESSES": "2"}, 0, 2),
        (2, {"KD_PROCESSES": "0"}, 2, 2),
    ],
)
def test_there_is_a_process_per_gpu_that_was_asked_for_and_is_there(gpus, environment, available, count) -> None:
    assert process_count(gpus, environment, available) == count
