"""Portable files of a network, each read back and compared with the network it was written from.

``torch.export`` (.pt2) for other PyTorch programs, ONNX (.onnx) for everything else. Both take batches of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from kd.compress.onnx_model import OnnxModel, plain_copy, write_onnx
from kd.errors import UserError
from kd.files import atomic_path

# Outputs may differ by this much of the largest logit: float32 has 24 bits, and sums are taken in another order.
TOLERANCE = 1e-4

Export = Callable[[nn.Module, Tensor, Path], float]


class UnequalExport(UserError):
    """An exported file gives other outputs than the network."""


def export_onnx(
    model: nn.Module,
    images_BCHW: Tensor,
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    prepare: bool = False,
) -> float:
    """Write an ONNX file and return by how much its logits differ at most, as a fraction of the largest logit.

    ``images_BCHW`` are compared; ``prepare`` is that of ``write_onnx``. Raises UnequalExport, and leaves no file, when
    that is more than TOLERANCE.
    """
    with atomic_path(path) as temporary:
        write_onnx(model, images_BCHW[0], temporary, metadata=metadata, prepare=prepare)
        return _compare(model, OnnxModel(temporary), images_BCHW, path)


def export_torch(model: nn.Module, images_BCHW: Tensor, path: Path) -> float:
    """Write a ``torch.export`` program (.pt2) and return by how much its logits differ, as ``export_onnx`` does."""
    batch = torch.export.Dim("batch", min=1)
    own = plain_copy(model)
    example = torch.stack([images_BCHW[0], images_BCHW[0]]).cpu()  # two: a size of 1 is taken for a constant
    with torch.no_grad():
        program = torch.export.export(own, (example,), dynamic_shapes=({0: batch},))
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            torch.export.save(program, file)
        return _compare(own, load_torch(temporary), images_BCHW.cpu(), path)


def load_torch(path: Path) -> nn.Module:
    """Return a ``torch.export`` program as a module that takes images [B, C, H, W]."""
    with open(path, "rb") as file:
        return _Program(torch.export.load(file).module())


class _Program(nn.Module):
    """An exported program, which knows one mode only and refuses to be asked for another."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = self.program(images_BCHW)
        return logits

    def train(self, mode: bool = True) -> _Program:
        """Do nothing."""
        return self


FORMATS: Mapping[str, Export] = {"onnx": export_onnx, "pt2": export_torch}


@torch.no_grad()
def _compare(model: nn.Module, exported: nn.Module, images_BCHW: Tensor, path: Path) -> float:
    training = model.training
    expected = model.eval()(images_BCHW)
    model.train(training)
    difference = float((exported(images_BCHW) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= TOLERANCE:
        raise UnequalExport(
            f"{path}: its outputs differ from those of the network by {difference:.1e} of the largest logit "
            f"(at most {TOLERANCE:.0e} is allowed)"
        )
    return difference
