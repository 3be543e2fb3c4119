"""Stage folders of seconds' size, and running them in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kd.run import run_stage
from kd.rundir.folders import StageFolder
from kd.rundir.stage_result import damaged_artefacts, load_result
from kd.rundir.stage_spec import TrainSettings
from kd.stages.context import in_place

CE = {"ce": {"weight": 1.0, "arguments": {}}}
CE_AND_KD = {"ce": {"weight": 0.5, "arguments": {}}, "kd": {"weight": 0.5, "arguments": {"temperature": 4.0}}}


def make_spec(stage: str = "baseline", *, kind: str = "train", model: str = "convnet", **settings: Any) -> dict:
    """Return the spec of a training of 3 epochs of 4 steps on synthetic images; ``settings`` override."""
    return {
        "format": 1,
        "pipeline": "cnn",
        "stage": stage,
        "seed": 7,
        "kind": kind,
        "role": stage,
        "fingerprint": f"{stage}-1",
        "parents": {"teacher": {"stage": "teacher", "seed": 7, "fingerprint": "t"}} if kind == "distill" else {},
        "data": {
            "name": "synthetic",
            "root": None,
            "arguments": {"classes": 4, "size": 8, "train": 100, "test": 40},
            "validation": 30,
            "train_subset": None,
            "test_subset": None,
        },
        "settings": {
            "model": {"name": model, "arguments": {"width": 4}},
            "epochs": 3,
            "batch_size": 16,
            "optimizer": {"name": "sgd", "arguments": {"lr": 0.05}},
            "schedule": {"name": "cosine", "arguments": {"warmup": 0.5}},
            "loss": CE_AND_KD if kind == "distill" else CE,
            "augment": {"crop": 1, "flip": True},
            "precision": "auto",
            "deterministic": False,
            "compile": False,
            "checkpoint_every": 1,
            **settings,
        },
        "resources": {"gpus": 0, "cpus": 1, "memory_mb": 2048, "minutes": 10, "gpu_type": None},
    }


def result_of(folder: StageFolder | Path) -> dict[str, Any]:
    """Return the content of a finished stage's result.json."""
    stage = folder if isinstance(folder, StageFolder) else StageFolder(folder)
    content: dict[str, Any] = json.loads(stage.result.read_text())
    return content


def damaged(folder: StageFolder) -> list[str]:
    """Return the artefacts of a finished stage that are missing or changed."""
    return damaged_artefacts(folder, load_result(folder))


def training_settings(**settings: Any) -> TrainSettings:
    """Return the settings of a distillation; ``settings`` override, as spec.json has them."""
    return msgspec.convert(make_spec("student", kind="distill", **settings)["settings"], TrainSettings)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hide GPUs from tests with the marker ``cpu``, from the processes they start, and from all their fixtures.

    A hook and not a fixture, because fixtures of a module or a session are made before those of a test.
    """
    if item.get_closest_marker("cpu") is None:
        return (yield)
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr(torch.cuda, "is_available", lambda: False)
        return (yield)


@pytest.fixture
def spec() -> Callable[..., dict]:
    return make_spec


@pytest.fixture
def write_spec() -> Callable[[Path, dict], StageFolder]:
    """Make a stage folder that holds a spec."""

    def write(path: Path, spec: dict) -> StageFolder:
        path.mkdir(parents=True, exist_ok=True)
        (path / "spec.json").write_text(json.dumps(spec))
        return StageFolder(path)

    return write


@pytest.fixture
def run(write_spec) -> Callable[..., StageFolder]:
    """Run a spec in a folder to its end, or until a callback raises; return the folder."""

    def go(path: Path, spec: dict, **surroundings: Any) -> StageFolder:
        folder = write_spec(path, spec)
        run_stage(in_place(folder, **surroundings))
        return folder

    return go


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished teacher stage."""
    path = tmp_path_factory.mktemp("teacher")
    spec = make_spec("teacher", model="resnet8", epochs=2)
    (path / "spec.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KD_THREADS", "1")
        run_stage(in_place(StageFolder(path)))
    return path
