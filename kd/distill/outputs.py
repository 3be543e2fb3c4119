"""What losses see of a batch: student and teacher run once, their outputs under the names of ``kd.losses.inputs``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from math import isqrt

import torch
from torch import Tensor, nn

from kd.distill.features import BEFORE, FeatureTaps
from kd.errors import SpecError
from kd.losses.inputs import STUDENT, TEACHER, LossInputs, needs_features, needs_preactivations
from kd.train.step import Batch

# a batch -> "teacher_logits_BC" and, where a loss asks for features, "teacher_features" by tap; of several teachers
# "teacher_logits_BMC", "teacher_weights_BM" and, under TEACHERS, what each one gives (see kd.distill.ensemble)
Teacher = Callable[[Batch], LossInputs]

TEACHERS = "teachers"
POOLED = "pooled"  # the tap in front of the classifier; every other tap is a stage's map


def follow_epoch(teacher: Teacher, view: int) -> None:
    """Let a teacher that has something for each epoch take up that of this one."""
    follow: Callable[[int], None] | None = getattr(teacher, "follow", None)
    if follow is not None:
        follow(view)


class Outputs:
    """Computes no more than is ``wanted``: a teacher that nobody asks is not run, nothing is tapped unasked.

    Networks run under ``autocast``. Raises SpecError when the student declares no feature taps and they are wanted.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: Teacher | None,
        wanted: Collection[str],
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._wanted, self._autocast = frozenset(wanted), autocast
        self._teacher = teacher if self._wanted.intersection(TEACHER) else None
        own = self._wanted.intersection(STUDENT)
        self._taps = FeatureTaps(student, preactivations=needs_preactivations(own)) if needs_features(own) else None

    def __call__(self, model: nn.Module, batch: Batch) -> LossInputs:
        """Return the wanted inputs of one batch; ``model`` is the student or its compiled form."""
        labels = "labels_BK" if batch.labels.ndim == 2 else "labels_B"
        seen: LossInputs = {labels: batch.labels, "labels": batch.labels, "indices_B": batch.indices}
        if self.asks_epoch:
            seen["epoch"] = batch.view
        if self._teacher:
            given = self._teacher(batch)
            seen |= self._of_teacher(given)
        with self._autocast():
            logits_BC: Tensor = model(batch.images)
        seen["student_logits_BC"] = logits_BC.float()
        if self._taps:
            seen |= self._features("student", self._taps.collect())
        return seen

    @property
    def asks_epoch(self) -> bool:
        """Whether a loss asks for the number of the epoch."""
        return "epoch" in self._wanted

    def follow(self, view: int) -> None:
        """Let the teacher take up what an epoch brings."""
        if self._teacher:
            follow_epoch(self._teacher, view)

    def _of_teacher(self, given: LossInputs, *, several: bool = False) -> LossInputs:
        """Return what one teacher or several gave, under the names that losses ask for.

        Each of ``several`` gives what the losses that name it ask for, and need not give more.
        """
        seen = {name: values for name, values in given.items() if name not in ("teacher_features", TEACHERS)}
        if TEACHERS in given:
            seen[TEACHERS] = [self._of_teacher(each, several=True) for each in given[TEACHERS]]
        elif needs_features(self._wanted.intersection(TEACHER)) and "teacher_logits_BMC" not in given:
            seen |= self._features("teacher", given.get("teacher_features", {}), require=not several)
        return seen

    def dry_run(self, model: nn.Module, batch: Batch) -> LossInputs:
        """Return the same of a batch that leaves no trace: no gradients, no batch statistics."""
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return self(model, batch)
        finally:
            model.train(training)

    def _features(self, who: str, features: Mapping[str, Tensor], *, require: bool = True) -> LossInputs:
        maps = {name: _as_map(feature) for name, feature in features.items() if name != POOLED}
        found: LossInputs = {
            f"{who}_maps": [one for name, one in maps.items() if not name.startswith(BEFORE)] or None,
            f"{who}_preactivations": [one for name, one in maps.items() if name.startswith(BEFORE)] or None,
            f"{who}_pooled_BD": features.get(POOLED),
        }
        asked = {name: feature for name, feature in found.items() if name in self._wanted}
        lacking = [name for name, feature in asked.items() if feature is None]
        if lacking and require:
            raise SpecError([f"a loss asks for {lacking[0]}, and the {who} gives none"])
        return {name: feature for name, feature in asked.items() if feature is not None}


def _as_map(feature: Tensor) -> Tensor:
    """Return a map [B, channels, H, W]; tokens [B, N, channels] are a square of patches behind any extra tokens."""
    if feature.dim() == 4:
        return feature
    batch, tokens, channels = feature.shape
    side = isqrt(tokens)
    patches = feature[:, tokens - side * side :]
    return patches.transpose(1, 2).reshape(batch, channels, side, side)
