"""kd.load, kd.predict and kd.model, as a notebook uses them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import kd
from kd.errors import CheckpointError, DataError, RunError, UserError
from kd.rundir.folders import JobKey, RunFolder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A handwritten digit as a grey PNG file."""
    path = tmp_path / "digit.png"
    Image.fromarray((load_digits().images[0] * 15.9).astype(np.uint8)).save(path)
    return path


def test_a_stage_folder_its_weights_and_its_exported_file_say_the_same_of_a_photo(run: RunFolder, photo: Path) -> None:
    teacher, file = run.stage(JobKey("teacher", 1)).path, run.stage(JobKey("file", 1)).path
    found = [
        kd.predict(kd.load(path), [photo])[0]
        for path in (teacher, teacher / "checkpoint/best.safetensors", file, file / "checkpoint/model.onnx")
    ]
    assert {prediction.label for prediction in found} == {"0"}
    for prediction in found:
        assert prediction.probability == pytest.approx(found[0].probability, abs=1e-4)
        assert sum(prediction.probabilities.values()) == pytest.approx(1)


def test_a_loaded_model_stays_in_evaluation_mode(run: RunFolder) -> None:
    model = kd.load(run.stage(JobKey("teacher", 1)).path)
    model.train()
    assert not model.network.training
    assert model.classes == tuple("0123456789")


def test_images_are_prepared_as_the_network_was_trained_on(run: RunFolder, photo: Path) -> None:
    model = kd.load(run.stage(JobKey("teacher", 1)).path)
    pixels = torch.from_numpy(np.asarray(Image.open(photo)).copy())[None]
    assert torch.equal(model.transform(photo), model.transform(pixels))
    assert model.transform(photo).mean().item() == pytest.approx(
        (pixels.float() / 255).mean().item() / model.card.std[0] - model.card.mean[0] / model.card.std[0], abs=1e-4
    )


def test_an_image_of_another_shape_is_refused_as_a_tensor_and_scaled_as_a_file(run: RunFolder, tmp_path: Path) -> None:
    model = kd.load(run.stage(JobKey("teacher", 1)).path)
    with pytest.raises(CheckpointError, match=r"takes images of uint8 \[1, 8, 8\], not uint8 \[3, 8, 8\]"):
        model.transform(torch.zeros(3, 8, 8, dtype=torch.uint8))
    Image.new("RGB", (30, 20)).save(tmp_path / "wide.png")
    assert model.transform(tmp_path / "wide.png").shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("nothing", None, RunError, "no such file or folder"),
        ("photo.png", b"x", CheckpointError, "cannot be read as weights"),
        ("model.onnx", b"x", CheckpointError, "cannot be run as ONNX"),
    ],
)
def test_what_is_no_model_is_refused_in_words(
    name: str, content: bytes | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        kd.load(tmp_path / name)


def test_a_file_that_is_no_image_is_named(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png is no image"):
        kd.predict(run.stage(JobKey("teacher", 1)).path, [tmp_path / "text.png"])


def test_a_network_of_the_catalogue_is_built_by_name() -> None:
    network = kd.model("resnet18", num_classes=10, in_channels=3, image_size=32)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(UserError, match="no model 'resnet81'"):
        kd.model("resnet81", num_classes=10)
    with pytest.raises(UserError, match="takes no 'widht'"):
        kd.model("convnet", num_classes=10, widht=3)


def test_importing_kd_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    program = "import sys, kd; print([name for name in ('torch', 'numpy') if name in sys.modules]); kd.no_such_name"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "[]"
    assert "module 'kd' has no attribute 'no_such_name'" in answer.stderr


def test_a_pipe_that_is_called_a_model_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(RunError, match="not a regular file"):
        kd.load(tmp_path / "model.onnx")
