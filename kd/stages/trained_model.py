"""The model, or the cache of a model's outputs, that an earlier stage left: its file, verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor

from kd.data.store import DeviceStore
from kd.distill.outputs import Teacher
from kd.errors import CheckpointError
from kd.files import sha256_file
from kd.rundir.folders import BEST, CACHE, StageFolder
from kd.rundir.result_sections import UNMEASURED, ModelOrigin
from kd.rundir.stage_result import StageResult, read_result
from kd.rundir.stage_spec import Component, JobReference
from kd.train.step import Batch
from kd.train.weights import read_card


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    """A finished stage's verified file: weights, or a cache of a teacher's outputs. ``digest`` is its SHA-256."""

    path: Path
    digest: str
    cached: bool
    result: StageResult

    @property
    def component(self) -> Component:
        """The model's name and arguments. Raises CheckpointError where the stage has none, as a cache."""
        if self.result.model is None:
            raise CheckpointError(f"{self.path}: this stage left no model of its own")
        return self.result.model

    @property
    def modalities(self) -> list[str]:
        """What the model of these weights sees of an image, by name. Raises CheckpointError on a damaged file."""
        return [name for name, _ in read_card(self.path).seen]

    @property
    def origin(self) -> ModelOrigin:
        """What another stage's result records of this model."""
        own = JobReference(stage=self.result.stage, seed=self.result.seed)
        if self.cached:
            assert self.result.teacher is not None, "a cache names its teacher"
            return replace(self.result.teacher, cache=own)
        validation = self.result.validation
        accuracy = (validation.best if validation else UNMEASURED).accuracy
        return ModelOrigin(stage=own.stage, seed=own.seed, validation_accuracy=accuracy)


def find_trained_model(folder: Path) -> FoundModel:
    """Return what a finished stage left: its best weights, or its cache.

    Raises CheckpointError when the stage has not finished or its file is missing or damaged.
    """
    result = read_result(StageFolder(folder))
    if result is None:
        raise CheckpointError(f"{folder}: no result.json, so this stage has not finished; run it first")
    cached = result.kind == "cache"
    name, what = (CACHE, "the cache is") if cached else (BEST, "the weights are")
    path = folder / name
    if not path.is_file():
        raise CheckpointError(f"{path}: {what} missing; run this stage again")
    digest = sha256_file(path)
    if digest != result.files.get(name):
        raise CheckpointError(f"{path}: {what} damaged (their checksum differs); run this stage again")
    return FoundModel(path=path, digest=digest, cached=cached, result=result)


def validation_logits(teacher: Teacher, store: DeviceStore) -> Tensor:
    """Return a teacher's logits [N, C] of plain images, in their order, on the CPU."""
    parts = []
    for images, labels in store.in_order():
        batch = Batch(images=images, labels=labels, indices=torch.arange(len(labels)), view=0)
        parts.append(teacher(batch)["teacher_logits_BC"].cpu())
    return torch.cat(parts)
