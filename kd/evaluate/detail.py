"""A model's answers on one part of the data in detail: each class by itself, who is taken for whom, how sure it is.

Everything is computed from the logits of all images at once, in float32, whatever the network multiplied in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kd.evaluate.calibration import Reliability, negative_log_likelihood, reliability
from kd.evaluate.metrics import class_scores, count_predictions, empty_confusion


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScores:
    """How well one class (or label) is found. ``images`` counts those that truly are of it."""

    precision: float
    recall: float
    f1_score: float
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """What the mean over all images hides.

    ``confusion`` counts images [C][C], a row for each true class, a column for each predicted one; of images with
    several labels it is one matrix [K][2][2] for each label. ``calibration`` has the bins of a reliability diagram.
    """

    classes: dict[str, ClassScores]
    confusion: list[list[int]] | list[list[list[int]]]
    calibration: Reliability
    negative_log_likelihood: float


def detail_of(logits: Tensor, labels: Tensor, names: Sequence[str]) -> Detail:
    """Return the details of logits [N, C] with labels [N], or of both [N, K] where images have several labels."""
    several = labels.ndim == 2
    logits = logits.float().cpu()
    labels = labels.cpu()
    confusion = empty_confusion(len(names), torch.device("cpu"), multi_label=several)
    count_predictions(confusion, logits, labels)
    support = confusion[:, 1].sum(dim=1) if several else confusion.sum(dim=1)
    scores = zip(names, class_scores(confusion).T.tolist(), support.tolist(), strict=True)
    return Detail(
        classes={
            name: ClassScores(precision=precision, recall=recall, f1_score=f1_score, images=images)
            for name, (precision, recall, f1_score), images in scores
        },
        confusion=confusion.tolist(),
        calibration=reliability(logits, labels),
        negative_log_likelihood=negative_log_likelihood(logits, labels),
    )
