"""Running sums of one epoch of training, kept on the device: no step waits for a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kd.errors import UserError
from kd.evaluate.metrics import Metrics, count_predictions, empty_confusion, summarise


class TrainingDiverged(UserError):
    """The training loss is no longer a finite number."""


class Meter:
    """Collects an epoch's losses [steps, 1 + terms] (total first, float32) and confusion matrix (or matrices)."""

    def __init__(
        self, *, terms: Sequence[str], steps: int, num_classes: int, device: torch.device, multi_label: bool = False
    ) -> None:
        self.terms = tuple(terms)
        self.losses = torch.zeros(steps, 1 + len(self.terms), device=device)
        self.counts = [0] * steps
        self.confusion = empty_confusion(num_classes, device, multi_label=multi_label)

    def reset(self) -> None:
        """Forget everything: a new epoch begins."""
        self.losses.zero_()
        self.confusion.zero_()
        self.counts = [0] * len(self.counts)

    def add(self, step: int, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one step: ``losses`` is [1 + terms], total first; ``logits`` those the step trained on."""
        self.losses[step] = losses
        self.counts[step] = len(labels)
        count_predictions(self.confusion, logits, labels)

    def check_finite(self, epoch: int) -> None:
        """Raise TrainingDiverged, naming the step, when a loss is not finite. Waits for the device."""
        bad = torch.nonzero(~self.losses[:, 0].isfinite()).flatten().tolist()
        if bad:
            raise TrainingDiverged(
                f"training diverged at epoch {epoch + 1}, step {bad[0] + 1}: the loss is not finite; "
                "lower the learning rate (optimizer.lr) or add a warm-up (schedule.warmup)"
            )

    def summary(self) -> tuple[Metrics, dict[str, float]]:
        """Return the epoch's metrics (loss: mean total) and the mean of each term. Waits for the device."""
        weights = torch.tensor(self.counts, dtype=torch.float64)
        means = (weights @ self.losses.cpu().double() / weights.sum()).tolist()
        return summarise(self.confusion, means[0]), dict(zip(self.terms, means[1:], strict=True))

    def state(self) -> dict[str, object]:
        """Return everything added so far, to be saved."""
        return {"losses": self.losses, "counts": self.counts, "confusion": self.confusion}

    def load(self, state: Mapping[str, object]) -> None:
        """Take back what ``state`` returned."""
        losses, counts, confusion = state["losses"], state["counts"], state["confusion"]
        assert isinstance(losses, Tensor)
        assert isinstance(confusion, Tensor)
        assert isinstance(counts, list)
        self.losses.copy_(losses)
        self.confusion.copy_(confusion)
        self.counts = list(counts)
