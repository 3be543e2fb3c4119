"""The parts of a job's data on the device: training, validation, and the test part as bytes until the end."""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Data:
    """``train`` gives augmented views, ``validation`` plain images; ``digest`` names the split."""

    arrays: ImageArrays
    train: DeviceStore
    validation: DeviceStore
    digest: str
    device: torch.device

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
) -> DeviceStore:
    return DeviceStore(images, labels, mean=arrays.mean, std=arrays.std, device=device, padding=padding, flip=flip)
