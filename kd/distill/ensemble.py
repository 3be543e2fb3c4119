"""Several teachers of one student: each says its own, and every loss gets their probabilities mixed at its temperature.

p(x) = sum_m w_m(x) softmax(z_m(x) / T). The mixture is of softened probabilities, so it is made where the temperature
is known, in the objective; what a loss is given are logits again, those whose softmax at T is p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from kd.distill.outputs import Teacher
from kd.train.step import Batch

# (logits [B, M, C] of M teachers, labels [B]) -> weights [B, M], each row of sum 1
Weighting = Callable[[Tensor, Tensor], Tensor]


class Ensemble:
    """Runs several teachers on every batch and weighs what they say."""

    def __init__(self, members: Sequence[Teacher], weighting: Weighting) -> None:
        assert members
        self._members, self._weighting = tuple(members), weighting

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Return ``teacher_logits_BMC`` and ``teacher_weights_BM``, both float32."""
        logits_BMC = torch.stack([member(batch)["teacher_logits_BC"] for member in self._members], dim=1)
        with torch.no_grad():
            weights_BM = self._weighting(logits_BMC, batch.labels)
        return {"teacher_logits_BMC": logits_BMC, "teacher_weights_BM": weights_BM}


def mixed_logits(logits_BMC: Tensor, weights_BM: Tensor, temperature: float) -> Tensor:
    """Return logits [B, C] whose softmax at ``temperature`` is the weighted mean of the teachers' at ``temperature``.

    Of one teacher these are its logits.
    """
    if logits_BMC.shape[1] == 1:
        return logits_BMC[:, 0]
    log_shares = (logits_BMC / temperature).log_softmax(-1) + weights_BM.log()[:, :, None]
    return temperature * log_shares.logsumexp(1)


def mixed_label_logits(logits_BMK: Tensor, weights_BM: Tensor, temperature: float) -> Tensor:
    """Return the same of labels [B, K]: logits whose sigmoid at ``temperature`` is the teachers' weighted mean."""
    if logits_BMK.shape[1] == 1:
        return logits_BMK[:, 0]
    softened, log_weights = logits_BMK / temperature, weights_BM.log()[:, :, None]
    yes, no = ((logsigmoid(sign * softened) + log_weights).logsumexp(1) for sign in (1, -1))
    return temperature * (yes - no)
