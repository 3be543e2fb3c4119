"""Exported files: any batch size, equal outputs, the model left alone, unequal ones refused."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd.compress import portable_files
from kd.compress.onnx_model import OnnxModel
from kd.compress.portable_files import FORMATS, TOLERANCE, UnequalExport, export_onnx, load_torch
from kd.errors import CheckpointError


@pytest.fixture(scope="module", params=sorted(FORMATS))
def exported(
    request: pytest.FixtureRequest, network: nn.Module, images: Tensor, tmp_path_factory
) -> tuple[Path, float]:
    path = tmp_path_factory.mktemp("export") / f"student.{request.param}"
    model = copy.deepcopy(network).to(memory_format=torch.channels_last).train()
    before = copy.deepcopy(model.state_dict())
    difference = FORMATS[request.param](model, images, path)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return path, difference


def _open(path: Path) -> nn.Module:
    return OnnxModel(path) if path.suffix == ".onnx" else load_torch(path)


def test_outputs_are_equal_at_any_batch_size(exported: tuple[Path, float], network: nn.Module, images: Tensor) -> None:
    path, difference = exported
    assert 0 <= difference <= TOLERANCE
    loaded = _open(path)
    for count in (1, 2, 7):
        with torch.no_grad():
            torch.testing.assert_close(loaded(images[:count]), network(images[:count]), atol=1e-4, rtol=1e-4)


def test_an_export_that_computes_something_else_is_refused(
    network: nn.Module, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.fc.bias += 0.1
    write = portable_files.write_onnx
    monkeypatch.setattr(portable_files, "write_onnx", lambda model, *rest, **more: write(other, *rest, **more))
    with pytest.raises(UnequalExport, match=r"student.onnx: its outputs differ") as error:
        export_onnx(network, images, tmp_path / "student.onnx")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_onnx_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    for name in ("bad.onnx", "gone.onnx"):
        with pytest.raises(CheckpointError, match=name) as error:
            OnnxModel(tmp_path / name)
        assert "\n" not in str(error.value)
