"""Metrics of several labels per image, against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics as sk

from kd.evaluate.measure import measure
from kd.evaluate.metrics import count_predictions, empty_confusion, selecting_metric, summarise
from kd.evaluate.multi_label import LabelScores, average_precision

CPU = torch.device("cpu")
GENERATOR = torch.Generator().manual_seed(3)
LOGITS = (2 * torch.randn(60, 3, generator=GENERATOR)).round(decimals=0)  # with ties
LABELS = (LOGITS + 2 * torch.randn(60, 3, generator=GENERATOR) > 0.5).to(torch.uint8)
ANSWERS = (LOGITS > 0).int().numpy()


def test_counts_add_up_to_the_metrics_of_scikit_learn() -> None:
    confusion = empty_confusion(3, CPU, multi_label=True)
    for part in (slice(0, 25), slice(25, 60)):
        count_predictions(confusion, LOGITS[part], LABELS[part])
    assert (confusion.numpy() == sk.multilabel_confusion_matrix(LABELS, ANSWERS)).all()
    found = summarise(confusion, loss=0.5)
    assert found.accuracy == pytest.approx(1 - sk.hamming_loss(LABELS, ANSWERS))
    assert found.precision == pytest.approx(sk.precision_score(LABELS, ANSWERS, average="macro"))
    assert found.recall == pytest.approx(sk.recall_score(LABELS, ANSWERS, average="macro"))
    assert found.f1_score == pytest.approx(sk.f1_score(LABELS, ANSWERS, average="macro"))


def test_scores_of_each_label_and_of_all_are_those_of_scikit_learn() -> None:
    scores = LabelScores(("fire", "smoke", "fog"))
    for part in (slice(0, 7), slice(7, 60)):
        scores.add(LOGITS[part], LABELS[part])
    found = scores.summary()
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(LABELS, ANSWERS))
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(LABELS, ANSWERS))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(LABELS, LOGITS, average="macro"))
    for number, name in enumerate(("fire", "smoke", "fog")):
        truth, answers = LABELS[:, number], ANSWERS[:, number]
        assert found["labels"][name] == pytest.approx(
            {
                "precision": sk.precision_score(truth, answers),
                "recall": sk.recall_score(truth, answers),
                "f1_score": sk.f1_score(truth, answers),
                "average_precision": sk.average_precision_score(truth, LOGITS[:, number]),
            }
        )


def test_a_label_that_never_holds_has_no_average_precision_and_does_not_count() -> None:
    assert average_precision(torch.randn(4), torch.zeros(4)) is None
    scores = LabelScores(("never", "once"))
    scores.add(torch.tensor([[-1.0, 2.0], [-1.0, -2.0]]), torch.tensor([[0, 1], [0, 0]], dtype=torch.uint8))
    found = scores.summary()
    assert found["average_precision"] == 1.0
    assert found["labels"]["never"] == {"precision": 0, "recall": 0, "f1_score": 0, "average_precision": None}


def test_measuring_takes_the_mean_loss_over_images_and_labels_and_hands_on_every_batch() -> None:
    seen: list[int] = []
    batches = [(LOGITS[:40], LABELS[:40]), (LOGITS[40:], LABELS[40:])]
    found = measure(
        torch.nn.Identity(),
        batches,
        num_classes=3,
        device=CPU,
        multi_label=True,
        also=lambda logits, labels: seen.append(len(labels)),
    )
    assert seen == [40, 20]
    probability = torch.sigmoid(LOGITS.double())
    expected = sk.log_loss(LABELS.flatten(), probability.flatten(), labels=[0, 1])
    assert found.loss == pytest.approx(expected, rel=1e-6)


def test_epochs_are_chosen_by_macro_f1_where_labels_are_several() -> None:
    assert selecting_metric(multi_label=True) == "f1_score"
    assert selecting_metric(multi_label=False) == "accuracy"
