"""Details of a model's answers against scikit-learn, with one class and with several labels."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, log_loss, multilabel_confusion_matrix

from kd.evaluate.detail import detail_of


def test_one_class_per_image() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 4, generator=generator), torch.randint(4, (200,), generator=generator)
    detail = detail_of(logits, labels, ["a", "b", "c", "d"])
    assert detail.confusion == confusion_matrix(labels, logits.argmax(1)).tolist()
    assert [scores.images for scores in detail.classes.values()] == labels.bincount().tolist()
    expected = log_loss(labels, logits.double().softmax(1).numpy())
    assert np.isclose(detail.negative_log_likelihood, expected)
    assert sum(detail.calibration.counts) == 200


def test_several_labels_per_image() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(100, 3, generator=generator)
    labels = torch.randint(2, (100, 3), generator=generator, dtype=torch.uint8)
    detail = detail_of(logits, labels, ["fire", "smoke", "fog"])
    expected = multilabel_confusion_matrix(labels.numpy(), (logits > 0).numpy())
    assert detail.confusion == expected.tolist()
    assert [scores.images for scores in detail.classes.values()] == labels.sum(0).tolist()
