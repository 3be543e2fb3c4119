"""Every family of models: a training that was interrupted in the middle of its epochs ends with the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kd.catalog import REQUIRED, Entry, entries, load
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.run import run_stage
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import RunFolder, StageFolder
from kd.stages.context import Interrupted, in_place
from tests.faults.trial import CHAIN, TEACHER

DATA = "data={{name: synthetic, size: 32, channels: {channels}, classes: 4, train: 24, test: 4, validation: 8}}"
CHANNELS = {"fused": 4}  # RGB and infrared; of all others 3
STEPS, EPOCHS = 2, 2  # 16 images in batches of 8


def families() -> dict[str, list[Entry]]:
    """Return the models of each module of kd/models that need no argument: a new family is picked up by itself."""
    found: dict[str, list[Entry]] = {}
    for entry in entries("model").values():
        if all(argument.default is not REQUIRED for argument in entry.arguments.values()):
            found.setdefault(_family(entry), []).append(entry)
    return found


def _family(entry: Entry) -> str:
    return entry.module.rpartition(".")[2]


def parameters(entry: Entry) -> int:
    """Return the number of a model's parameters, without making them."""
    with torch.device("meta"):
        model = load("model", entry.name)(4, CHANNELS.get(_family(entry), 3), 32)
    return sum(parameter.numel() for parameter in model.parameters())


def prepare(folder: Path, model: str, channels: int) -> StageFolder:
    """Write the folder of a short training of a model."""
    settings = {"model": model, "epochs": EPOCHS, "batch_size": 8, "precision": "float32"}
    overrides = [
        DATA.format(channels=channels),
        *(f"stages.teacher.{name}={value}" for name, value in settings.items()),
    ]
    (job,) = (job for job in plan_pipeline(load_pipeline(str(CHAIN), overrides=overrides)).jobs if job.key == TEACHER)
    stage = RunFolder(folder / "run").stage(TEACHER)
    write_json(stage.spec, job.spec.to_json())
    return stage


def train(stage: StageFolder, stop_after: int | None = None) -> None:
    """Train from wherever the folder stands; ask for a stop after so many further steps."""
    asked: Iterator[int] = iter(range(1, 1_000_000))
    run_stage(in_place(stage, stop_requested=lambda: next(asked) == stop_after))


def digests(stage: StageFolder) -> dict[str, str]:
    files = sorted(stage.checkpoint.glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("family", sorted(families()))
def test_an_interrupted_training_ends_with_the_bits_of_an_undisturbed_one(family: str, tmp_path: Path) -> None:
    model = min(families()[family], key=parameters).name
    undisturbed, disturbed = (prepare(tmp_path / name, model, CHANNELS.get(family, 3)) for name in "ab")
    train(undisturbed)
    for stop_after in (1, STEPS):  # in the middle of the first epoch and of the second
        with pytest.raises(Interrupted):
            train(disturbed, stop_after)
    train(disturbed)
    result = read_object(disturbed.result)
    assert result is not None
    assert result["attempts"] == 3
    assert len(digests(undisturbed)) == 2
    assert digests(disturbed) == digests(undisturbed)
