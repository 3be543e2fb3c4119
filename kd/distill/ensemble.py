"""Several teachers of one student: each is run, and their logits are weighed; losses mix them (kd.losses.mixture)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kd.distill.outputs import Teacher, follow_epoch
from kd.train.step import Batch

# (logits [B, M, C] of M teachers, labels [B]) -> weights [B, M], each row of sum 1
Weighting = Callable[[Tensor, Tensor], Tensor]


class Ensemble:
    """Runs several teachers on every batch and weighs their logits."""

    def __init__(self, members: Sequence[Teacher], weighting: Weighting) -> None:
        assert members
        self._members, self._weighting = tuple(members), weighting

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Return ``teacher_logits_BMC`` and ``teacher_weights_BM``, both float32."""
        logits_BMC = torch.stack([member(batch)["teacher_logits_BC"] for member in self._members], dim=1)
        with torch.no_grad():
            weights_BM = self._weighting(logits_BMC, batch.labels)
        return {"teacher_logits_BMC": logits_BMC, "teacher_weights_BM": weights_BM}

    def follow(self, view: int) -> None:
        """Let the members take up what an epoch brings."""
        for member in self._members:
            follow_epoch(member, view)
