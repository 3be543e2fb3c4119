"""Published weights for a network: from a file that the job names, or from the caches of torchvision and timm.

Nothing is downloaded: compute nodes rarely reach the internet, and a job must not depend on it. A missing file is one
line that says which file goes where. What differs is adapted: the first convolution to other channels and to a smaller
kernel, the classifier (drawn anew) to other classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from kd.errors import CheckpointError
from kd.models.backbone import Backbone, Parts
from kd.models.trained_weights import Loaded, load_trained
from kd.vision_libraries import import_vision


def start_from(
    model: Backbone, pretrained: bool | str, *, freeze_backbone: bool, published: Callable[[], Path]
) -> None:
    """Load ``pretrained`` (a file, or True for the file ``published``) and freeze all but the classifier if asked to.

    An adapted first convolution is trained with the classifier: its batch norm knows other statistics. Raises
    CheckpointError when the file is missing, damaged or of another network.
    """
    trained = [model.parts.classifier]
    if pretrained and load_published(model, pretrained, parts=model.parts, published=published).adapted:
        trained += model.parts.stem
    if freeze_backbone:
        model.freeze(but=trained)


def load_published(
    network: nn.Module,
    pretrained: Literal[True] | str,
    *,
    parts: Parts,
    published: Callable[[], Path],
    adopt: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None,
) -> Loaded:
    """Load ``pretrained`` as ``start_from`` does, into any network; ``adopt`` returns weights under its own names.

    Returns what was taken and what had to be adapted or drawn. Raises CheckpointError as ``start_from`` does.
    """
    path = published() if pretrained is True else Path(pretrained).expanduser().absolute()
    return load_trained(network, path, parts=parts, classifier="new", adapt=True, adopt=adopt)


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
