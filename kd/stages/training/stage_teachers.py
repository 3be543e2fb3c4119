"""The teachers of a distillation: one or several, each run beside the student or read from a cache."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
from torch import Tensor

from kd.catalog import load
from kd.distill.cached_teacher import VALIDATION_LOGITS, CachedTeacher, open_cache
from kd.distill.ensemble import Ensemble, Weighting
from kd.distill.gate import Gate
from kd.distill.outputs import Teacher
from kd.distill.teacher import LiveTeacher, load_trained_model
from kd.errors import SpecError
from kd.losses.inputs import TEACHER, needs_features, needs_preactivations
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.context import StageContext
from kd.stages.stage_data import StageData
from kd.stages.trained_model import FoundModel, find_trained_model, validation_logits
from kd.stages.training.fitted_gate import fit_once
from kd.stages.training.seeds import seed_of
from kd.train.device import Runtime
from kd.train.distributed import ALONE, Processes
from kd.train.weights import ModelCard

# a teacher, and the function that returns its logits [validation images, C] of the validation images
Apart = Mapping[int, Collection[str]]
_Member = tuple[Teacher, Callable[[], Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingSetup:
    """What a training runs with: its model's card, its data, its device and its processes."""

    card: ModelCard
    data: StageData
    runtime: Runtime
    processes: Processes = ALONE


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTeachers:
    """The teachers of a stage, in the order of its spec. ``views`` is how many their caches hold, if there are any."""

    context: StageContext
    spec: StageSpec[TrainSettings]
    found: tuple[FoundModel, ...]
    views: int | None

    @property
    def any_live(self) -> bool:
        """Whether one of them is run beside the student, so that it must be shown images."""
        return not all(found.cached for found in self.found)

    def build(self, setup: TrainingSetup, *, wanted: Collection[str], apart: Apart | None = None) -> Teacher:
        """Return one teacher for a student to ask, for the inputs of losses that are ``wanted``.

        ``apart`` holds what losses want of single ones of several, by their number: these answer by themselves too.
        Raises CheckpointError when a file cannot be used, SpecError when a teacher does not fit the student.
        """
        alone, each = len(self.found) == 1, apart or {}
        members = [
            self._member(found, setup, wanted if alone else each.get(number, ()))
            for number, found in enumerate(self.found)
        ]
        if len(members) == 1:
            return members[0][0]
        entry = self.spec.settings.weighting
        assert entry is not None, "the plan fills in the weighting of several teachers"
        classes = len(setup.card.classes)
        weighting: Weighting = load("weighting", entry.name)(len(members), classes, **entry.arguments)
        if isinstance(weighting, Gate):
            fit_once(
                weighting,
                self.context,
                held_out=[on_validation for _, on_validation in members],
                labels_N=setup.data.validation.labels,
                processes=setup.processes,
                fingerprint=self.spec.fingerprint,
                seed=seed_of(self.spec),
            )
            weighting.to(setup.runtime.device)
        return Ensemble([teacher for teacher, _ in members], weighting, apart=bool(apart))

    def validation_logits(self, setup: TrainingSetup) -> Iterator[tuple[str, Tensor]]:
        """Yield the stage of each teacher, and its logits [N, C] of the validation images."""
        for found in self.found:
            _, on_validation = self._member(found, setup, wanted=())
            yield found.origin.stage, on_validation()

    def _member(self, found: FoundModel, setup: TrainingSetup, wanted: Collection[str]) -> _Member:
        if found.cached:
            tensors, held = open_cache(found.path)
            held.require_match(
                found.path,
                images=setup.data.content_digest(),
                augment=msgspec.to_builtins(self.spec.settings.augment),
                classes=setup.card.classes,
            )
            return CachedTeacher(tensors, device=setup.runtime.device), lambda: tensors[VALIDATION_LOGITS]
        shown = setup.data.shown_card(found.component)
        model, own = load_trained_model(found.path, student=shown)
        asked = set(wanted).intersection(TEACHER)
        teacher = LiveTeacher(
            setup.runtime.place(model),
            own=own,
            student=shown,
            features=needs_features(asked),
            preactivations=needs_preactivations(asked),
            autocast=setup.runtime.autocast,
        )
        return teacher, partial(validation_logits, teacher, setup.data.shown_validation())


def find_teachers(context: StageContext, spec: StageSpec[TrainSettings]) -> StageTeachers:
    """Return the teachers that the spec of a distillation names, their files verified.

    Raises CheckpointError when one has not finished or its file is missing or damaged, SpecError when several caches
    hold unequal numbers of views or the student mixes its images.
    """
    references = [reference for reference in spec.parents if reference.startswith("teacher")]
    found = tuple(find_trained_model(context.parents[reference]) for reference in references)
    views = sorted({open_cache(each.path)[1].views for each in found if each.cached})
    if len(views) > 1:
        raise SpecError([f"the teachers' caches hold {' and '.join(map(str, views))} views; give them equally many"])
    if views and (spec.settings.mixup or spec.settings.cutmix):
        raise SpecError(["a cache holds nothing for mixed images; name its teacher itself, or mix no images"])
    return StageTeachers(context=context, spec=spec, found=found, views=views[0] if views else None)
