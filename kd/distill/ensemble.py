"""Several teachers of one student: each is run, and their logits are weighed; losses mix them (kd.losses.mixture)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kd.distill.outputs import TEACHERS, Teacher, follow_epoch
from kd.losses.inputs import LossInputs
from kd.train.step import Batch

# (logits [B, M, C] of M teachers, labels [B]) -> weights [B, M], each row of sum 1
Weighting = Callable[[Tensor, Tensor], Tensor]


class Ensemble:
    """Runs several teachers on every batch and weighs their logits.

    With ``apart`` it also gives what each teacher gives by itself, for losses that ask one of them.
    """

    def __init__(self, members: Sequence[Teacher], weighting: Weighting, *, apart: bool = False) -> None:
        assert members
        self._members, self._weighting, self._apart = tuple(members), weighting, apart
        self.constants = {TEACHERS: [getattr(member, "constants", {}) for member in members]}

    def __call__(self, batch: Batch) -> LossInputs:
        """Return ``teacher_logits_BMC`` and ``teacher_weights_BM``, both float32; with ``apart``, ``teachers`` too."""
        given = [member(batch) for member in self._members]
        logits_BMC = torch.stack([each["teacher_logits_BC"] for each in given], dim=1)
        with torch.no_grad():
            weights_BM = self._weighting(logits_BMC, batch.labels)
        mixed = {"teacher_logits_BMC": logits_BMC, "teacher_weights_BM": weights_BM}
        return {**mixed, TEACHERS: given} if self._apart else mixed

    def follow(self, view: int) -> None:
        """Let the members take up what an epoch brings."""
        for member in self._members:
            follow_epoch(member, view)
