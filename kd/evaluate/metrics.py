"""Classification metrics, as fractions, of a confusion matrix [C, C] (row: true class, column: predicted)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Accuracy, macro-averaged precision, recall and F1 score, and the mean loss."""

    accuracy: float
    precision: float
    recall: float
    f1_score: float
    loss: float

    def as_dict(self) -> dict[str, float]:
        """Return the five numbers by name."""
        return asdict(self)


def empty_confusion(num_classes: int, device: torch.device) -> Tensor:
    """Return a zeroed confusion matrix [C, C] of counts."""
    return torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)


def count_predictions(confusion_CC: Tensor, logits_BC: Tensor, labels_B: Tensor) -> None:
    """Add one batch to the matrix in place, on the device and without waiting for it.

    One-hot rows are multiplied: whole numbers, hence exact, and deterministic on a GPU, where a scattered add
    need not be.
    """
    classes = torch.arange(confusion_CC.shape[0], device=logits_BC.device)
    true_BC = (labels_B[:, None] == classes).float()
    predicted_BC = (logits_BC.argmax(dim=1)[:, None] == classes).float()
    confusion_CC += (true_BC.T @ predicted_BC).to(torch.int64)


def summarise(confusion_CC: Tensor, loss: float) -> Metrics:
    """Return the metrics of a confusion matrix.

    Macro averages run over the classes that occur as truth or as prediction; 0/0 counts as 0. Both are the
    conventions of scikit-learn.
    """
    counts = confusion_CC.to("cpu", torch.float64)
    hits, true, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    seen = (true + predicted) > 0
    precision, recall = _ratio(hits, predicted)[seen], _ratio(hits, true)[seen]
    f1_score = _ratio(2 * hits, true + predicted)[seen]
    return Metrics(
        accuracy=float(hits.sum() / counts.sum()),
        precision=float(precision.mean()),
        recall=float(recall.mean()),
        f1_score=float(f1_score.mean()),
        loss=loss,
    )


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator.clamp(min=1), 0.0)
