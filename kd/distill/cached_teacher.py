"""A teacher's outputs for fixed augmented views of all training images, in one memory-mapped file.

The file is safetensors with a card in its metadata. ``logits`` are raw, float32 [views, images, classes] in the order
of the training images: float32 because they then are the very bits of a teacher run beside the student (the test on a
CPU), and 8 views of CIFAR-10 take 14 MB. ``pooled`` [views, images, width], where asked for, are the features in front
of the classifier. ``validation_logits`` [validation images, classes] are of plain images, for a gate to be fitted by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kd.distill.outputs import POOLED
from kd.errors import CheckpointError, SpecError
from kd.files import atomic_path
from kd.losses.inputs import LossInputs
from kd.train.step import Batch

LOGITS, VALIDATION_LOGITS = "logits", "validation_logits"
_CARD_KEY, _KEY = "kd", "key"


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheCard:
    """All that decides what a cache holds.

    ``teacher`` is the SHA-256 of the teacher's weights file, ``images`` that of the training images and labels in their
    order, ``augment`` the augmentation as a spec.json has it, ``precision`` what the teacher multiplied in.
    """

    teacher: str
    images: str
    augment: Mapping[str, Any]
    views: int
    classes: tuple[str, ...]
    precision: str

    @property
    def key(self) -> str:
        """The digest of it all: equal keys, equal contents."""
        return hashlib.sha256(_json(self).encode()).hexdigest()

    def require_match(self, path: Path, *, images: str, augment: Mapping[str, Any], classes: tuple[str, ...]) -> None:
        """Raise SpecError, in one line, when a student that trains on these images would not see the cached views."""
        if self.classes != classes or self.images != images:
            what = "classes" if self.classes != classes else "training images"
            raise SpecError([f"{path}: was made of other {what} than the student's; give both stages the same data"])
        if dict(self.augment) != dict(augment):
            views = f"holds views of {_words(self.augment)}, but the student's are of {_words(augment)}"
            raise SpecError([f"{path}: {views}; give both stages the same augment"])


def write_cache(path: Path, tensors: Mapping[str, Tensor], card: CacheCard) -> None:
    """Write a cache atomically: ``logits``, ``validation_logits`` and perhaps ``pooled`` (shapes: see above)."""
    assert tensors[LOGITS].shape[0] == card.views
    assert all(tensor.dtype is torch.float32 for tensor in tensors.values())
    metadata = {_CARD_KEY: json.dumps({"card": asdict(card), _KEY: card.key}, sort_keys=True)}
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=metadata)


def open_cache(path: Path) -> tuple[dict[str, Tensor], CacheCard]:
    """Return the tensors of a cache, mapped into memory and not read, and its card.

    Raises CheckpointError when the file is missing, damaged or no cache.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as a cache ({error})") from error
    try:
        written = json.loads(metadata[_CARD_KEY])
        card = CacheCard(**{**written["card"], "classes": tuple(written["card"]["classes"])})
        same_key, views = written[_KEY] == card.key, len(tensors[LOGITS])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: carries no card of a cache; only a stage of kind cache writes one") from error
    if not same_key or views != card.views:
        raise CheckpointError(f"{path}: its card does not fit its contents; run its stage again")
    return tensors, card


class CachedTeacher:
    """A teacher that remembers: gives what the cache holds for the images and the view of a batch.

    The batches must show the cached views in turn (``AugmentedBatches(cached_views=...)``), unmixed. A view is brought
    to ``device`` when its epoch begins, to the place of the one before; on a CPU it is read where it is mapped.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._tensors = {name: tensors[name] for name in (LOGITS, POOLED) if name in tensors}
        self._view: int | None = None
        self._present: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> LossInputs:
        """Return ``teacher_logits_BC`` (float32) and, where they are cached, ``teacher_features``."""
        assert batch.mixed is None, "no cache holds a teacher's outputs for mixed images"
        self.follow(batch.view)
        given: LossInputs = {"teacher_logits_BC": self._present[LOGITS].index_select(0, batch.indices)}
        if POOLED in self._present:
            given["teacher_features"] = {POOLED: self._present[POOLED].index_select(0, batch.indices)}
        return given

    def follow(self, view: int) -> None:
        """Bring the view of an epoch to the device, where it is not the present one."""
        view %= len(self._tensors[LOGITS])
        if view == self._view:
            return
        for name, tensor in self._tensors.items():
            if name in self._present and self._device.type != "cpu":
                self._present[name].copy_(tensor[view])  # in place: a captured step reads there
            else:
                self._present[name] = tensor[view].to(self._device)
        self._view = view


def _json(card: CacheCard) -> str:
    return json.dumps(asdict(card), sort_keys=True)


def _words(augment: Mapping[str, Any]) -> str:
    """Return an augmentation as a job file has it."""
    return "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in sorted(augment.items())) + "}"
