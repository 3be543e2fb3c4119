"""Agreement by hand; accuracy per class against scikit-learn's recall."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import recall_score

from kd.evaluate.agreement import agreement, class_accuracies
from kd.evaluate.metrics import count_predictions, empty_confusion


def test_of_several_labels_every_answer_is_compared() -> None:
    student, teacher = torch.tensor([[1.0, -1.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.5]])
    p, q = torch.sigmoid(teacher), torch.sigmoid(student)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    found = agreement(student, teacher, multi_label=True)
    assert found.top1 == 0.75
    assert found.kl == pytest.approx(expected.item(), rel=1e-5)


def test_equal_models_agree_whatever_is_added_to_their_logits() -> None:
    logits = torch.randn(9, 4)
    found = agreement(logits + 3, logits)
    assert found.top1 == 1.0
    assert found.kl == pytest.approx(0, abs=1e-6)


def test_disagreement_by_hand() -> None:
    teacher = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()
    student = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    found = agreement(student, teacher)
    assert found.top1 == 0.5
    assert found.kl == pytest.approx((0.75 * math.log(3) + 0.25 * math.log(1 / 3)) / 2)


def test_class_accuracies_are_recalls() -> None:
    logits, labels = torch.randn(200, 4), torch.randint(0, 3, (200,))  # class 3 has no image
    confusion = empty_confusion(4, torch.device("cpu"))
    count_predictions(confusion, logits, labels)
    found = class_accuracies(confusion)
    expected = recall_score(labels, logits.argmax(1), labels=[0, 1, 2], average=None)
    assert found[:3] == pytest.approx(tuple(expected))
    assert found[3] is None
