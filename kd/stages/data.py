"""The parts of a job's data on the device: training, validation, and the test part as bytes until the end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd.data.arrays import ImageArrays
from kd.data.load import load_arrays
from kd.data.split import split
from kd.data.store import DeviceStore
from kd.errors import SpecError
from kd.train.weights import ModelCard


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Data:
    """``train`` gives augmented views, ``validation`` plain images; ``digest`` names the split."""

    arrays: ImageArrays
    train: DeviceStore
    validation: DeviceStore
    digest: str
    device: torch.device

    def card(self, model: Mapping[str, Any]) -> ModelCard:
        """Return the card of a model for these images, which are normalised as the arrays say."""
        return ModelCard(
            name=model["name"],
            arguments=model["arguments"],
            classes=self.arrays.classes,
            in_channels=self.arrays.channels,
            image_size=self.arrays.image_size,
            mean=self.arrays.mean,
            std=self.arrays.std,
        )

    def content_digest(self) -> str:
        """Return the SHA-256 of the images and labels to learn from and of their split: 0.1 s for CIFAR."""
        digest = hashlib.sha256(self.digest.encode())
        for values in (self.arrays.train_images, self.arrays.train_labels):
            digest.update(f"{list(values.shape)} {values.dtype}".encode())
            digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()

    def facts(self, name: str) -> dict[str, Any]:
        """Return what a result tells of the data set of this name."""
        return {
            "name": name,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.arrays.test_labels),
            "classes": len(self.arrays.classes),
            "split_digest": self.digest,
        }

    def test_store(self) -> DeviceStore:
        """Return the test part on the device. For the measurement at the end, and nothing else."""
        return _store(self.arrays, self.arrays.test_images, self.arrays.test_labels, self.device)


def load_data(
    data: Mapping[str, Any], augment: Mapping[str, Any], *, staged: Path | None, device: torch.device
) -> Data:
    """Load and split the data of a spec; ``staged`` replaces the root it names.

    Raises DataError when the data are missing or too few, SpecError when no validation images are asked for.
    """
    root = staged or (Path(data["root"]) if data["root"] else None)
    arrays = load_arrays(data["name"], root, data["arguments"], data["train_subset"], data["test_subset"])
    if data["validation"] < 1:
        raise SpecError(["data.validation: at least one image is needed, the best epoch is chosen by them"])
    chosen = split(arrays.train_labels, data["validation"])
    images, labels = arrays.train_images, arrays.train_labels
    return Data(
        arrays=arrays,
        train=_store(
            arrays,
            images[chosen.train],
            labels[chosen.train],
            device,
            padding=augment["crop"],
            flip=augment["flip"],
            cutout=augment.get("cutout", 0),
        ),
        validation=_store(arrays, images[chosen.validation], labels[chosen.validation], device),
        digest=chosen.digest,
        device=device,
    )


def _store(
    arrays: ImageArrays,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    *,
    padding: int = 0,
    flip: bool = False,
    cutout: int = 0,
) -> DeviceStore:
    return DeviceStore(
        images,
        labels,
        mean=arrays.mean,
        std=arrays.std,
        device=device,
        padding=padding,
        flip=flip,
        cutout=cutout,
    )
