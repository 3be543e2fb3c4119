"""What a distillation learns from: one teacher or several, each run beside the student or read from a cache."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd.catalog import load
from kd.data.store import DeviceStore
from kd.distill.cache import CACHE, VALIDATION_LOGITS, CachedTeacher, open_cache
from kd.distill.ensemble import Ensemble, Weighting
from kd.distill.gate import Gate
from kd.distill.outputs import Teacher
from kd.distill.teacher import LiveTeacher, load_teacher
from kd.errors import CheckpointError, SpecError
from kd.files import sha256_file
from kd.losses.inputs import TEACHER, needs_features, needs_preactivations
from kd.rundir.folders import StageFolder
from kd.stages.context import StageContext
from kd.stages.data import Data
from kd.stages.gate import fitted
from kd.stages.outcome import BEST
from kd.train.device import Runtime
from kd.train.distributed import ALONE, Processes
from kd.train.step import Batch
from kd.train.weights import ModelCard, read_card

# a teacher, and what gives its logits [validation images, C] of the validation images
_Member = tuple[Teacher, Callable[[], Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A teacher's verified file: its weights, or a cache of what it says. ``digest`` is the file's SHA-256."""

    path: Path
    digest: str
    cached: bool
    model: Mapping[str, Any]  # as a spec.json has it
    facts: Mapping[str, Any]  # what a result quotes

    @property
    def modalities(self) -> list[str]:
        """What the model of these weights sees of an image, by name. Raises CheckpointError on a damaged file."""
        return [name for name, _ in read_card(self.path).seen]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """Where teachers are put to work: beside which student, on which data, on which machine."""

    card: ModelCard
    data: Data
    runtime: Runtime
    processes: Processes = ALONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Teachers:
    """The teachers of a stage, in the order in which its spec names them. ``views`` are those of the caches, if any."""

    context: StageContext
    spec: Mapping[str, Any]
    found: tuple[Found, ...]
    views: int | None

    @property
    def facts(self) -> dict[str, Any]:
        """What result.json tells of them."""
        quoted = [dict(found.facts) for found in self.found]
        return {"teacher": quoted[0]} if len(quoted) == 1 else {"teachers": quoted}

    @property
    def any_live(self) -> bool:
        """Whether one of them is run beside the student, so that it must be shown images."""
        return not all(found.cached for found in self.found)

    def build(self, place: Place, *, wanted: Collection[str]) -> Teacher:
        """Return one teacher for a student to ask, for the inputs of losses that are ``wanted``.

        Raises CheckpointError when a file cannot be used, SpecError when a teacher does not fit the student.
        """
        members = [self._member(found, place, wanted) for found in self.found]
        if len(members) == 1:
            return members[0][0]
        entry = self.spec["settings"]["weighting"]
        classes = len(place.card.classes)
        weighting: Weighting = load("weighting", entry["name"])(len(members), classes, **entry["arguments"])
        if isinstance(weighting, Gate):
            held_out = [on_validation for _, on_validation in members]
            labels = place.data.validation.labels
            fitted(weighting, self.context, self.spec, held_out, labels, place.processes)
            weighting.to(place.runtime.device)
        return Ensemble([teacher for teacher, _ in members], weighting)

    def _member(self, found: Found, place: Place, wanted: Collection[str]) -> _Member:
        if found.cached:
            tensors, held = open_cache(found.path)
            held.require_match(
                found.path,
                images=place.data.content_digest(),
                augment=self.spec["settings"]["augment"],
                classes=place.card.classes,
            )
            return CachedTeacher(tensors, device=place.runtime.device), lambda: tensors[VALIDATION_LOGITS]
        shown = place.data.shown_card(found.model)
        model, own = load_teacher(found.path, student=shown)
        asked = set(wanted).intersection(TEACHER)
        teacher = LiveTeacher(
            place.runtime.place(model),
            own=own,
            student=shown,
            features=needs_features(asked),
            preactivations=needs_preactivations(asked),
            autocast=place.runtime.autocast,
        )
        return teacher, partial(validation_logits, teacher, place.data.shown_validation())


def find_teachers(context: StageContext, spec: Mapping[str, Any]) -> Teachers:
    """Return the teachers that the spec of a distillation names, their files verified.

    Raises CheckpointError when one has not finished or its file is missing or damaged, SpecError when several caches
    hold unequal numbers of views or the student mixes its images.
    """
    references = [reference for reference in spec["parents"] if reference.startswith("teacher")]
    found = tuple(find_teacher(context.parents[reference]) for reference in references)
    views = sorted({open_cache(each.path)[1].views for each in found if each.cached})
    if len(views) > 1:
        raise SpecError([f"the teachers' caches hold {' and '.join(map(str, views))} views; give them equally many"])
    if views and not {"mixup", "cutmix"}.isdisjoint(spec["settings"]):
        raise SpecError(["a cache holds nothing for mixed images; name its teacher itself, or mix no images"])
    return Teachers(context=context, spec=spec, found=found, views=views[0] if views else None)


def find_teacher(folder: Path) -> Found:
    """Return a finished teacher, or a finished cache of one. Raises CheckpointError as ``find_teachers``."""
    result = StageFolder(folder).read_result()
    if result is None:
        raise CheckpointError(f"{folder}: the teacher has no result.json, so it has not finished; run it first")
    cached = result["kind"] == "cache"
    name, what = (CACHE, "cache is") if cached else (BEST, "weights are")
    path = folder / name
    if not path.is_file():
        raise CheckpointError(f"{path}: the teacher's {what} missing; run it again")
    digest = sha256_file(path)
    if digest != result["files"][name]:
        raise CheckpointError(f"{path}: the teacher's {what} damaged (their checksum differs); run it again")
    own = {"stage": result["stage"], "seed": result["seed"]}
    facts = {**result["teacher"], "cache": own} if cached else {**own, "validation_accuracy": _accuracy(result)}
    return Found(path=path, digest=digest, cached=cached, model=result.get("model", {}), facts=facts)


def validation_logits(teacher: Teacher, store: DeviceStore) -> Tensor:
    """Return a teacher's logits [N, C] of plain images, in their order, on the CPU."""
    parts = []
    for images, labels in store.in_order():
        batch = Batch(images=images, labels=labels, indices=torch.arange(len(labels)), view=0)
        parts.append(teacher(batch)["teacher_logits_BC"].cpu())
    return torch.cat(parts)


def _accuracy(result: Mapping[str, Any]) -> float:
    accuracy: float = result["validation"]["best"]["accuracy"]
    return accuracy
