"""A whole data set decoded into one safetensors file: loads in a fraction of a second, and runs no code on
loading.

Holds the four arrays (images as uint8 [N, H, W, C]) and, as metadata, the class names, mean and deviation, whether
there are several labels per image, and the modalities.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from kd.data.arrays import ImageArrays
from kd.errors import DataError
from kd.files import atomic_path

SUFFIX = ".safetensors"
_FORMAT = "kd images 1"


def write_decoded(arrays: ImageArrays, target: Path) -> None:
    """Write a data set to ``target`` (its name ends in .safetensors), atomically."""
    tensors = {
        "train_images": _own(arrays.train_images.permute(0, 2, 3, 1)),
        "train_labels": _own(arrays.train_labels),
        "test_images": _own(arrays.test_images.permute(0, 2, 3, 1)),
        "test_labels": _own(arrays.test_labels),
    }
    facts = {name: getattr(arrays, name) for name in ("classes", "mean", "std", "multi_label", "modalities")}
    metadata = {"format": _FORMAT} | {name: json.dumps(fact) for name, fact in facts.items()}
    with atomic_path(target) as temporary:
        save_file(tensors, temporary, metadata)


def _own(values: Tensor) -> Tensor:
    """Return a copy that shares memory with nothing: safetensors refuses parts of one array."""
    return values.clone(memory_format=torch.contiguous_format)


def read_decoded(source: Path) -> ImageArrays:
    """Read a data set that ``write_decoded`` wrote. Raises DataError when the file is missing, damaged or
    another.
    """
    if not source.is_file():
        raise DataError(f"{source}: no such file")
    try:
        with safetensors.safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise DataError(f"{source}: holds no data set written by kd.data.prepare")
            return ImageArrays(
                train_images=file.get_tensor("train_images").permute(0, 3, 1, 2),
                train_labels=file.get_tensor("train_labels"),
                test_images=file.get_tensor("test_images").permute(0, 3, 1, 2),
                test_labels=file.get_tensor("test_labels"),
                classes=tuple(json.loads(metadata["classes"])),
                mean=tuple(json.loads(metadata["mean"])),
                std=tuple(json.loads(metadata["std"])),
                multi_label=json.loads(metadata.get("multi_label", "false")),
                modalities=tuple((name, channels) for name, channels in json.loads(metadata.get("modalities", "[]"))),
            )
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"{source}: damaged ({error})") from error
