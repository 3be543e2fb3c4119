"""Classification metrics, as fractions, of counts: one matrix [C, C], or one [2, 2] for each of several labels.

A matrix has a row per true class and a column per predicted one. Of labels the two classes are no (0) and yes (1), and
yes is predicted where the sigmoid is above 1/2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Accuracy, macro-averaged precision, recall and F1 score, and the mean loss.

    Where images have several labels, accuracy is the share of right yes-or-no answers: 1 - Hamming loss.
    """

    accuracy: float
    precision: float
    recall: float
    f1_score: float
    loss: float

    def as_dict(self) -> dict[str, float]:
        """Return the five numbers by name."""
        return asdict(self)


def selecting_metric(*, multi_label: bool) -> str:
    """Return the name of the metric by which epochs and stages are compared.

    Accuracy; of several labels the macro F1 score, because most answers are no and saying so is not worth much.
    """
    return "f1_score" if multi_label else "accuracy"


def empty_confusion(num_classes: int, device: torch.device, *, multi_label: bool = False) -> Tensor:
    """Return a zeroed confusion matrix [C, C] of counts, or one per label [K, 2, 2]."""
    shape = (num_classes, 2, 2) if multi_label else (num_classes, num_classes)
    return torch.zeros(shape, dtype=torch.int64, device=device)


def count_predictions(confusion: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add one batch in place: logits [B, C] and labels [B], or logits and labels [B, K], 0 or 1."""
    (_count_labels if confusion.ndim == 3 else _count_classes)(confusion, logits, labels)


def _count_labels(confusion_K22: Tensor, logits_BK: Tensor, labels_BK: Tensor) -> None:
    yes, true = logits_BK > 0, labels_BK > 0
    for row, is_true in enumerate((~true, true)):
        for column, is_predicted in enumerate((~yes, yes)):
            confusion_K22[:, row, column] += (is_true & is_predicted).sum(dim=0)


def _count_classes(confusion_CC: Tensor, logits_BC: Tensor, labels_B: Tensor) -> None:
    """Add one batch to the matrix in place, on the device and without waiting for it.

    One-hot rows are multiplied: whole numbers, hence exact, and deterministic on a GPU, where a scattered add
    need not be.
    """
    classes = torch.arange(confusion_CC.shape[0], device=logits_BC.device)
    true_BC = (labels_B[:, None] == classes).float()
    predicted_BC = (logits_BC.argmax(dim=1)[:, None] == classes).float()
    confusion_CC += (true_BC.T @ predicted_BC).to(torch.int64)


def as_choices(logits_NK: Tensor) -> Tensor:
    """Return logits [N * K, 2] of each label by itself as a choice between no (logit 0) and yes."""
    return torch.stack([torch.zeros_like(logits_NK), logits_NK], dim=-1).flatten(0, 1)


def summarise(confusion: Tensor, loss: float) -> Metrics:
    """Return the metrics of a confusion matrix, or of one per label.

    Macro averages run over the classes that occur as truth or as prediction, or over all labels; 0/0 counts as 0. Both
    are the conventions of scikit-learn.
    """
    counts = confusion.to("cpu", torch.float64)
    right = counts.diagonal(dim1=-2, dim2=-1)
    per_class = class_scores(confusion)
    if counts.ndim == 2:
        per_class = per_class[:, (counts.sum(dim=0) + counts.sum(dim=1)) > 0]
    precision, recall, f1_score = per_class.mean(dim=1).tolist()
    accuracy = float(right.sum() / counts.sum())
    return Metrics(accuracy=accuracy, precision=precision, recall=recall, f1_score=f1_score, loss=loss)


def class_scores(confusion: Tensor) -> Tensor:
    """Return precision, recall and F1 score [3, C] of each class, or [3, K] of each label; 0/0 counts as 0."""
    counts = confusion.to("cpu", torch.float64)
    if counts.ndim == 3:
        hits, true, predicted = counts[:, 1, 1], counts[:, 1].sum(dim=1), counts[:, :, 1].sum(dim=1)
    else:
        hits, true, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    return torch.stack([_ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)])


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator.clamp(min=1), 0.0)
