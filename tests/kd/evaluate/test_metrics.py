"""Classification metrics against scikit-learn, and the counting against a plain loop."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from kd.evaluate.metrics import count_predictions, empty_confusion, summarise


def confusion_of(truth: list[int], predicted: list[int], classes: int) -> torch.Tensor:
    matrix = empty_confusion(classes, torch.device("cpu"))
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()
    half = len(truth) // 2
    for part in (slice(0, half), slice(half, None)):
        count_predictions(matrix, logits[part], torch.tensor(truth)[part])
    return matrix


def test_batches_are_counted_by_true_row_and_predicted_column() -> None:
    assert confusion_of([0, 0, 1, 2], [0, 1, 1, 0], 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("truth", "predicted", "classes"),
    [
        ([0, 0, 1, 2, 2, 2, 1, 0], [0, 1, 1, 2, 0, 2, 1, 0], 3),
        ([0, 0, 1, 1], [0, 0, 0, 0], 2),  # one class is never predicted
        ([0, 1, 1, 3], [0, 1, 2, 3], 6),  # some classes are absent, one is only predicted
    ],
)
def test_the_macro_averages_are_those_of_scikit_learn(truth: list[int], predicted: list[int], classes: int) -> None:
    metrics = summarise(confusion_of(truth, predicted, classes), loss=0.5)
    precision, recall, f1_score, _ = precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    expected = [accuracy_score(truth, predicted), precision, recall, f1_score, 0.5]
    assert list(metrics.as_dict().values()) == pytest.approx(expected)
