"""Published weights for a network: from a file that the job names, or from the caches of torchvision and timm.

Nothing is downloaded: compute nodes rarely reach the internet, and a job must not depend on it. A missing file is one
line that says which file goes where. What differs is adapted: the first convolution to other channels and to a smaller
kernel, the classifier (drawn anew) to other classes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kd.errors import CheckpointError
from kd.models.backbone import Backbone, Parts
from kd.vision_libraries import import_vision

_NESTED = ("state_dict", "model")  # where training scripts like to put the weights inside a file


def start_from(
    model: Backbone, pretrained: bool | str, *, freeze_backbone: bool, published: Callable[[], Path]
) -> None:
    """Load ``pretrained`` (a file, or True for the file ``published``) and freeze all but the classifier if asked to.

    An adapted first convolution is trained with the classifier: its batch norm knows other statistics. Raises
    CheckpointError when the file is missing, damaged or of another network.
    """
    trained = [model.parts.classifier]
    if pretrained and load_published(model, pretrained, parts=model.parts, adopt=model.adopt, published=published):
        trained += model.parts.stem
    if freeze_backbone:
        model.freeze(but=trained)


def load_published(
    network: nn.Module,
    pretrained: Literal[True] | str,
    *,
    parts: Parts,
    published: Callable[[], Path],
    adopt: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict,
) -> bool:
    """Load ``pretrained`` as ``start_from`` does, into any network; ``adopt`` returns weights under its own names.

    Returns whether the first convolution had to be adapted. Raises CheckpointError as ``start_from`` does.
    """
    path = published() if pretrained is True else Path(pretrained).expanduser().absolute()
    own = network.state_dict()
    weights = adopt(_read(path))
    for name in (f"{parts.classifier}.weight", f"{parts.classifier}.bias"):
        if name not in weights or weights[name].shape != own[name].shape:
            weights[name] = own[name]
    first = f"{parts.first_convolution}.weight"
    unequal = first in weights and weights[first].shape != own[first].shape
    if unequal:
        weights[first] = adapted(weights[first], channels=own[first].shape[1], size=own[first].shape[-1])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{path}: these weights are of another network: {detail:.200}") from error
    return unequal


def adapted(kernel: Tensor, *, channels: int, size: int) -> Tensor:
    """Return the middle of a kernel [out, in, k, k] for other channels, so that grey images give what they gave."""
    margin = max(0, (kernel.shape[-1] - size) // 2)
    kernel = kernel[:, :, margin : margin + size, margin : margin + size]
    if kernel.shape[1] == channels:
        return kernel
    return kernel.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels


def torchvision_file(weights: str) -> Path:
    """Return the file of ``weights`` (torchvision's name) in torch's cache, by default ~/.cache/torch/hub/checkpoints.

    Raises CheckpointError when it is not there.
    """
    url: str = import_vision("torchvision.models").get_weight(weights).url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise CheckpointError(f"pretrained: there is no {path}; put {url} there, or name a file: 'pretrained: FILE'")
    return path


def timm_file(model: str) -> Path:
    """Return the file of a timm model in the Hugging Face cache. Raises CheckpointError when it is not there."""
    from huggingface_hub import constants, try_to_load_from_cache

    repository: str = import_vision("timm").get_pretrained_cfg(model).hf_hub_id
    path = try_to_load_from_cache(repository, "model.safetensors")
    if not isinstance(path, str):
        raise CheckpointError(
            f"pretrained: the cache {constants.HF_HUB_CACHE} has no model.safetensors of {repository}; "
            "fetch that file where there is a network and name it: 'pretrained: FILE'"
        )
    return Path(path)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"pretrained: there is no file {path}")
    try:
        read: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({type(error).__name__})") from error
    for key in _NESTED:
        if isinstance(read, Mapping) and isinstance(read.get(key), Mapping):
            read = read[key]
    if not isinstance(read, Mapping) or not all(isinstance(value, Tensor) for value in read.values()):
        raise CheckpointError(f"{path}: holds no plain weights (a mapping from names to tensors)")
    return read
