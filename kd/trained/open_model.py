"""A trained model, opened again from its stage folder, its weights or its exported file.

The card inside such a file says how images are to be prepared and what the outputs mean, so nothing else is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.compress.onnx_model import OnnxModel
from kd.data.decode import Decoding, decode_image
from kd.errors import CheckpointError, RunError
from kd.permitted_code import permit_code
from kd.rundir.folders import BEST, StageFolder, exported_model
from kd.train.weights import ModelCard, card_from_json, load_model, named_model

# what a stage folder may hold, the first that is there is meant
_ARTEFACTS = (BEST, exported_model("onnx"))


class TrainedModel(nn.Module):
    """A network in evaluation mode, with what its card says: class names, normalisation, image size.

    Called with images as ``transform`` makes them, [B, C, H, W] float32, it returns logits [B, classes].
    """

    def __init__(self, network: nn.Module, card: ModelCard, file: Path) -> None:
        super().__init__()
        self.network, self.card, self.file = network.eval(), card, file
        self.classes = card.classes
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (card.mean, card.std))
        self.register_buffer("_mean", mean, persistent=False)
        self.register_buffer("_std", std, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = self.network(images_BCHW)
        return logits

    def train(self, mode: bool = True) -> TrainedModel:
        """Stay in evaluation mode: this model is for use. Its ``network`` can be trained on."""
        return super().train(False)

    def transform(self, image: Path | str | Tensor) -> Tensor:
        """Return an image [C, H, W] as the network was trained on: scaled, cut to the centre square, normalised.

        ``image`` is a file, or bytes of pixels as a uint8 tensor [C, H, W] of the right size. Raises DataError when the
        file is no image, CheckpointError when the network does not see plain images.
        """
        pixels_CHW = image if isinstance(image, Tensor) else self._decoded(Path(image))
        expected = (self.card.in_channels, self.card.image_size, self.card.image_size)
        if tuple(pixels_CHW.shape) != expected or pixels_CHW.dtype != torch.uint8:
            got = f"{pixels_CHW.dtype} {list(pixels_CHW.shape)}".removeprefix("torch.")
            raise CheckpointError(f"{self.file}: takes images of uint8 {list(expected)}, not {got}")
        mean, std = self._buffers["_mean"], self._buffers["_std"]
        assert mean is not None
        assert std is not None
        return (pixels_CHW.to(mean.device).float() / 255 - mean) / std

    def _decoded(self, path: Path) -> Tensor:
        channels = self.card.in_channels
        if channels not in (1, 3):
            seen = ", ".join(name for name, _ in self.card.seen)
            raise CheckpointError(f"{self.file}: sees {channels} channels ({seen}); give it tensors, not image files")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from None
        decoding = Decoding(size=self.card.image_size, channels=channels, resize=True)
        return torch.from_numpy(decode_image(str(path), data, decoding).pixels.copy()).permute(2, 0, 1)


def open_model(path: Path | str, *, allow_code: bool = False) -> TrainedModel:
    """Open a stage folder, a file of weights saved by kd (.safetensors) or an exported ONNX file, on the CPU.

    A network of somebody's own code is that which was frozen with its run. Its code is run where the run folder is this
    user's, or with ``allow_code``. Raises CheckpointError when it is none or is damaged, RunError when there is
    nothing, or its code may not be run.
    """
    file = model_file(Path(path))
    if file.suffix == ".onnx":
        network = OnnxModel(file)
        return TrainedModel(network, _exported_card(file, network.metadata), file)
    permit_code(file, [named_model(file)], allow_code=allow_code)
    return TrainedModel(*load_model(file), file)


def model_file(path: Path) -> Path:
    """Return the file of a model that a person named. Raises RunError when there is none."""
    if not path.is_dir():
        if not path.exists():
            raise RunError(f"{path}: no such file or folder")
        if not path.is_file():
            raise RunError(f"{path}: not a regular file")
        return path
    for name in _ARTEFACTS:
        if (path / name).is_file():
            return path / name
    if StageFolder(path).spec.is_file():
        raise RunError(f"{path}: this stage has left no model ({' or '.join(_ARTEFACTS)}); has it finished?")
    raise RunError(f"{path}: no stage folder (results/RUN/stages/STAGE/seed-N) and no file of a model")


def _exported_card(path: Path, metadata: Mapping[str, str]) -> ModelCard:
    try:
        fields: Any = json.loads(metadata["kd"])
    except (KeyError, ValueError):
        raise CheckpointError(f"{path}: carries no model card; only ONNX files exported by kd can be used so") from None
    return card_from_json(path, fields)
