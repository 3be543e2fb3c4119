"""Calibration against sums by hand and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from kd.evaluate.calibration import negative_log_likelihood, reliability


def logits_of(probabilities: list[float]) -> torch.Tensor:
    """Two classes, the first one of these probabilities."""
    first = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([first, 1 - first], dim=1).log()


def test_bins_and_error_by_hand() -> None:
    logits = logits_of([0.95, 0.91, 0.7, 0.2])  # confidences 0.95, 0.91, 0.7, 0.8; classes 0, 0, 0, 1
    found = reliability(logits, torch.tensor([0, 1, 0, 1]), bins=10)
    assert found.counts == (0, 0, 0, 0, 0, 0, 1, 1, 0, 2)
    assert found.confidence[-1] == pytest.approx(0.93)
    assert found.accuracy[-4:] == (1.0, 1.0, 0.0, 0.5)
    assert found.expected_error == pytest.approx((0.3 + 0.2 + 2 * 0.43) / 4)


def test_a_model_that_is_sure_and_right_has_no_error() -> None:
    logits = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    assert reliability(logits, torch.tensor([0, 1])).expected_error == pytest.approx(0, abs=1e-9)
    assert reliability(logits, torch.tensor([1, 0])).expected_error == pytest.approx(1)


def test_edges_belong_to_the_lower_bin() -> None:
    found = reliability(torch.zeros(3, 2), torch.tensor([0, 0, 1]), bins=2)  # confidence exactly 1/2
    assert found.counts == (3, 0)


def test_curve_and_likelihood_are_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (500,), generator=generator)
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    fraction, mean = calibration_curve((predicted == labels).numpy(), confidence.numpy(), n_bins=15)
    found = reliability(logits, labels)
    filled = [index for index, count in enumerate(found.counts) if count]
    assert [found.accuracy[index] for index in filled] == pytest.approx(fraction.tolist())
    assert [found.confidence[index] for index in filled] == pytest.approx(mean.tolist())
    assert sum(found.counts) == 500
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, probabilities))


def test_of_several_labels_every_answer_is_a_prediction() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], dtype=torch.float64)
    labels = torch.tensor([[1, 0], [0, 1]], dtype=torch.uint8)
    sure = torch.sigmoid(logits.abs()).flatten()
    found = reliability(logits, labels, bins=1)
    assert found.counts == (4,)
    assert found.accuracy == (0.75,)  # only the third answer is wrong
    assert found.confidence[0] == pytest.approx(sure.mean().item())
    answers = torch.stack([1 - torch.sigmoid(logits), torch.sigmoid(logits)], -1).flatten(0, 1)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels.flatten(), answers), rel=1e-6)
