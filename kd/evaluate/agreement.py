"""How alike two classifiers are, and how well one does on each class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.evaluate.metrics import as_choices


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How often a student predicts the teacher's class, and the mean KL(teacher || student) in nats at T = 1.

    Of several labels per image both are means over images and labels.
    """

    top1: float
    kl: float


def agreement(student_logits_NC: Tensor, teacher_logits_NC: Tensor, *, multi_label: bool = False) -> Agreement:
    """Compare a student with its teacher on the same images (Stanton et al. 2021, arXiv:2106.05945)."""
    assert student_logits_NC.shape == teacher_logits_NC.shape
    if multi_label:
        student_logits_NC, teacher_logits_NC = as_choices(student_logits_NC), as_choices(teacher_logits_NC)
    student, teacher = (logits.double().log_softmax(dim=1) for logits in (student_logits_NC, teacher_logits_NC))
    same = student_logits_NC.argmax(dim=1) == teacher_logits_NC.argmax(dim=1)
    return Agreement(
        top1=float(same.double().mean()),
        kl=float(F.kl_div(student, teacher, reduction="batchmean", log_target=True)),
    )


def class_accuracies(confusion_CC: Tensor) -> tuple[float | None, ...]:
    """Return the fraction of each true class that is predicted rightly (its recall); None for a class without images.

    ``confusion_CC`` counts images, row: true class, column: predicted class (see ``kd.evaluate.metrics``).
    """
    counts = confusion_CC.double()
    totals = counts.sum(dim=1)
    hits = torch.where(totals > 0, counts.diagonal() / totals.clamp(min=1), torch.nan)
    return tuple(None if hit != hit else hit for hit in hits.tolist())
