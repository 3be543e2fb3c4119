"""Metrics of images with several labels that take the scores of a whole part of the data, not only counts.

Fractions. What is of each label is by its name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kd.evaluate.metrics import class_scores, count_predictions, empty_confusion


class LabelScores:
    """Collects logits and labels [B, K] batch by batch, for the numbers that need all of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, logits_BK: Tensor, labels_BK: Tensor) -> None:
        """Add one batch."""
        self._logits.append(logits_BK.float().cpu())
        self._labels.append(labels_BK.cpu())

    def summary(self) -> dict[str, object]:
        """Return Hamming loss, subset accuracy, macro average precision, and the scores of each label."""
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        answers = (logits > 0) == (labels > 0)
        confusion = empty_confusion(len(self._names), torch.device("cpu"), multi_label=True)
        count_predictions(confusion, logits, labels)
        precisions = [average_precision(*pair) for pair in zip(logits.T, labels.T, strict=True)]
        defined = [value for value in precisions if value is not None]
        scores = zip(self._names, class_scores(confusion).T.tolist(), precisions, strict=True)
        return {
            "hamming_loss": 1 - float(answers.double().mean()),
            "subset_accuracy": float(answers.all(dim=1).double().mean()),
            "average_precision": sum(defined) / len(defined) if defined else None,
            "labels": {
                name: {"precision": precision, "recall": recall, "f1_score": f1_score, "average_precision": area}
                for name, (precision, recall, f1_score), area in scores
            },
        }


def average_precision(scores_N: Tensor, labels_N: Tensor) -> float | None:
    """Return sum_n (R_n - R_n-1) P_n over falling thresholds, as scikit-learn defines it; None without a positive."""
    order = scores_N.argsort(descending=True, stable=True)
    scores, hits = scores_N[order], (labels_N[order] > 0).double().cumsum(0)
    if not hits[-1]:
        return None
    last_of_a_score = torch.cat([scores[1:] != scores[:-1], torch.tensor([True])])
    chosen = hits[last_of_a_score]
    precision = chosen / (torch.nonzero(last_of_a_score).flatten() + 1)
    recall = chosen / hits[-1]
    return float((recall.diff(prepend=torch.zeros(1, dtype=torch.float64)) * precision).sum())
