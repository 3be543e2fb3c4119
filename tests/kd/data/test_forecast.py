"""The forecast of memory and disk, against what trainings take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kd.data.forecast import PREPARED_BYTES, Images, Network, forecast
from kd.data.store import DeviceStore
from kd.train.optimizers import adamw, sgd
from tests.kd.conftest import make_spec

PART = Images(count=300, channels=3, size=32)


def test_the_bytes_of_a_part_are_those_of_its_store() -> None:
    images = torch.zeros(300, 3, 32, 32, dtype=torch.uint8)
    options = {"padding": 4, "flip": True}
    store = DeviceStore(images, torch.zeros(300).long(), mean=[0.5] * 3, std=[0.5] * 3, **options)
    assert PART.bytes == images.nbytes
    assert PART.kept_bytes(**options) == store._images.nbytes


def test_parts_too_large_for_copies_are_kept_as_they_are() -> None:
    large = Images(count=PREPARED_BYTES // (3 * 224**2), channels=3, size=224)
    assert large.kept_bytes(padding=4, flip=True) == large.bytes


@pytest.mark.parametrize(("name", "make"), [("sgd", sgd), ("adamw", adamw)])
def test_an_optimizer_remembers_as_much_as_is_said(name: str, make) -> None:
    layer = torch.nn.Linear(100, 100)
    optimizer = make(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    remembered = sum(
        value.nbytes
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.dim()
    )
    weights = Network(parameters=10_100, optimizer=name)
    assert remembered == weights.kept_bytes - 2 * weights.bytes


@pytest.mark.parametrize(
    "settings", [{}, {"ema": {"decay": 0.9}, "optimizer": {"name": "adam", "arguments": {"lr": 1e-3}}}]
)
def test_the_disk_of_a_training_stays_below_the_forecast(run, tmp_path: Path, settings: dict) -> None:
    taken: list[int] = []

    def look() -> bool:
        taken.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
        return False

    spec = make_spec(**settings)
    spec["settings"]["model"]["arguments"] = {"width": 48}
    run(tmp_path, spec, stop_requested=look)
    taken.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
    parameters = json.loads((tmp_path / "result.json").read_text())["parameters"]
    name = spec["settings"]["optimizer"]["name"]
    expected = forecast(PART, PART, PART, Network(parameters=parameters, optimizer=name, ema="ema" in settings)).disk
    assert max(taken) < 1.1 * expected
    assert max(taken) > 0.5 * expected


def test_a_gpu_takes_the_copies_and_the_machine_the_images() -> None:
    network = Network(parameters=1000)
    here = forecast(PART, PART, PART, network, padding=4, flip=True)
    there = forecast(PART, PART, PART, network, padding=4, flip=True, gpu=True)
    assert here.gpu_memory == 0
    assert there.gpu_memory > PART.kept_bytes(padding=4, flip=True)
    assert here.disk == there.disk


def test_no_torch_is_needed() -> None:
    code = "import sys, kd.data.forecast; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
