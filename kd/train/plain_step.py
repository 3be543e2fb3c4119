"""One step of a training: forward, backward, new weights, and their average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from kd.train.average import WeightAverage
from kd.train.step import Batch, Losses, Objective
from kd.train.update import Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlainStep:
    """Does its operations one after another, as Python comes to them. ``accumulate``: in how many parts of a batch."""

    model: nn.Module
    update: Update
    objective: Objective
    average: WeightAverage | None = None
    accumulate: int = 1

    def __call__(self, batch: Batch, number: int) -> Losses:
        """Do step ``number`` (from 0, over all epochs)."""
        losses = self.descend(batch)
        if self.average is not None:
            self.average.update(number)
        return losses

    def descend(self, batch: Batch) -> Losses:
        """Change the weights by a batch; return its losses."""
        return train_step(self.model, self.update, self.objective, batch.parts(self.accumulate))


def train_step(model: nn.Module, update: Update, objective: Objective, parts: Sequence[Batch]) -> Losses:
    """Do one step on a batch, given in equal parts; return its losses.

    The gradients of the parts are averaged. Batch norm, and losses that compare images, see one part at a time.
    """
    update.begin()
    found = []
    for part in parts:
        losses = objective(model, part)
        update.backward(losses.total if len(parts) == 1 else losses.total / len(parts))
        found.append(replace(losses, total=losses.total.detach()))
    update.step()
    if len(found) == 1:
        return found[0]
    return Losses(
        total=torch.stack([losses.total for losses in found]).mean(),
        parts=torch.stack([losses.parts for losses in found]).mean(0),
        logits=torch.cat([losses.logits for losses in found]),
    )
