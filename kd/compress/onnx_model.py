"""Networks as ONNX files: written from torch, and run by ONNX Runtime as if they were modules.

Such a file needs neither the code that made it nor torch. Its input is ``images`` [batch, C, H, W] float32, normalised,
for any batch, or bytes of pixels where the preparation is inside the file; its output is ``logits`` [batch, classes].
"""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.errors import CheckpointError

INPUT, OUTPUT, BATCH = "images", "logits", "batch"
CARD = "kd"  # the entry of the metadata that says what the file is of (JSON): its ``mean`` and ``std``, among others


def write_onnx(
    model: nn.Module, image_CHW: Tensor, path: Path, *, metadata: Mapping[str, str] | None = None, prepare: bool = False
) -> None:
    """Write a network as one ONNX file. Batch norm is folded into convolutions; dropout is gone.

    ``metadata`` travels inside the file. With ``prepare`` the file takes bytes of pixels and normalises them, as the
    card in the metadata says. The model itself is left as it is.
    """
    import onnx

    if prepare:
        card = json.loads((metadata or {})[CARD])
        model = FromPixels(model, card["mean"], card["std"])
        image_CHW = torch.zeros_like(image_CHW, dtype=torch.uint8)

    # Two images: an exporter takes a size of 1 for a constant.
    example = torch.stack([image_CHW, image_CHW]).cpu()
    with _quietly():
        program = torch.onnx.export(
            plain_copy(model),
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    without_notes(proto)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.helper.set_model_props(proto, dict(metadata or {}))
    onnx.save(proto, path)


def without_notes(proto: Any) -> None:
    """Remove what no runtime reads: where each node came from, and the shapes between nodes. In place."""
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]


class OnnxModel(nn.Module):
    """An ONNX file that is called like a network, on the CPU. It has no parameters that could be trained.

    ``threads`` is torch's number of threads where it is not given. ``metadata`` is what was written with the file.
    Raises CheckpointError when the file cannot be read or run.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions have no common class below Exception
            raise CheckpointError(f"{path}: cannot be run as ONNX ({' '.join(str(error).split())[:200]})") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._takes_bytes = self._session.get_inputs()[0].type == "tensor(uint8)"

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes], on the device of the images, which are normalised whatever the file takes."""
        given = images_BCHW.detach().float().cpu()
        images = (self._bytes_of(given) if self._takes_bytes else given).contiguous().numpy()
        (logits,) = self._session.run([OUTPUT], {INPUT: images})
        return torch.from_numpy(logits).to(images_BCHW.device)

    def _bytes_of(self, images_BCHW: Tensor) -> Tensor:
        """Return the pixels that were normalised to these images."""
        card = json.loads(self.metadata[CARD])
        mean, std = (torch.tensor(card[name]).view(-1, 1, 1) for name in ("mean", "std"))
        return ((images_BCHW * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


class FromPixels(nn.Module):
    """A network that is given the bytes of pixels [B, C, H, W] and normalises them itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = self.network((pixels_BCHW.float() / 255 - self.mean) / self.std)
        return logits


def plain_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in evaluation mode and the usual memory order, as exporters want it."""
    copied = copy.deepcopy(model).eval()
    for module in copied.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            # an exporter takes operations in place apart, which doubles its time
            module.inplace = False  # type: ignore[assignment]
    copied.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return copied


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's remarks about its own code from the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
