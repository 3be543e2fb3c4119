"""Losses on logits that change what is learned: hard answers, a sharper true class, other weights, relations.

Shapes and conventions are those of ``kd.losses.logit``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.arguments import Fraction, NonNegativeFloat, PositiveFloat
from kd.losses.mixture import Teaching, taught
from kd.losses.numerics import full
from kd.losses.softening import divergence, softening

__all__ = ["hard_kd", "mlkd", "ofa", "tfkd", "wsld"]


def hard_kd(student_logits_BC: Tensor, teacher_logits_BC: Teaching) -> Tensor:
    """Hard-label distillation of Touvron et al. 2021 (DeiT, arXiv:2012.12877): the teacher's answer as the label.

    Cross-entropy with the class that the teacher, or the mixture of teachers, finds most likely. DeiT applies it to a
    head on a token of its own; here it is on the student's one head.
    """
    return F.cross_entropy(full(student_logits_BC), taught(teacher_logits_BC, softening(1.0)).argmax(1))


def ofa(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    labels_B: Tensor,
    *,
    temperature: PositiveFloat = 1.0,
    epsilon: PositiveFloat = 1.0,
) -> Tensor:
    """OFA's loss of Hao et al. 2023 (arXiv:2310.19444), for networks of different kinds: the true class counts more.

    -((1 + p_true)^epsilon log q_true + sum over the others of p^epsilon log q), with p and q the softened probabilities
    of teacher and student; less log q_true once, as the authors have it, so that it stands beside ``ce``. It is the
    loss of the final logits; the authors' exits at earlier stages are not here. Needs hard labels.
    """
    soften = softening(temperature)
    p, log_q = taught(teacher_logits_BC, soften).softmax(1), soften(full(student_logits_BC)).log_softmax(1)
    true = F.one_hot(labels_B, p.shape[1]).to(p.dtype)
    return -(((p + true).pow(epsilon) - true) * log_q).sum(1).mean()


def wsld(
    student_logits_BC: Tensor, teacher_logits_BC: Teaching, labels_B: Tensor, *, temperature: PositiveFloat = 2.0
) -> Tensor:
    """Weighted soft labels of Zhou et al. 2021 (arXiv:2102.00650): images count by the teacher's lead.

    T^2 mean_i (1 - exp(-ce_student / ce_teacher)) H(p_teacher, p_student), with H the cross-entropy of the softened
    outputs and ce each network's own with the true label, at T = 1, through which no gradient flows. Its minimum is
    not 0. Needs hard labels.
    """
    student, soften = full(student_logits_BC), softening(temperature)
    ours = F.cross_entropy(student.detach(), labels_B, reduction="none")
    theirs = F.cross_entropy(taught(teacher_logits_BC, softening(1.0)), labels_B, reduction="none")
    weights = 1 - (-ours / (theirs + 1e-7)).exp()  # the authors' 1e-7
    soft = -(taught(teacher_logits_BC, soften).softmax(1) * soften(student).log_softmax(1)).sum(1)
    return temperature**2 * (weights * soft).mean()


def tfkd(
    student_logits_BC: Tensor, labels_B: Tensor, *, temperature: PositiveFloat = 20.0, correct: Fraction = 0.99
) -> Tensor:
    """Teacher-free distillation of Yuan et al. 2020 (arXiv:1909.11723): a made-up teacher that is nearly always right.

    KL(u || q) with q the student's probabilities, not softened, and u the softmax of v / T, where v is ``correct`` at
    the true class and (1 - correct) / (C - 1) elsewhere: the authors soften probabilities as if they were logits. They
    average over the classes too and multiply by 100, or 50. Needs hard labels, and no teacher.
    """
    student = full(student_logits_BC)
    classes = student.shape[1]
    likely = torch.full_like(student, (1 - correct) / max(1, classes - 1))
    likely.scatter_(1, labels_B[:, None], correct)
    return divergence(student, likely.detach() / temperature)


def mlkd(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    *,
    temperatures: list[PositiveFloat] | None = None,
    images: NonNegativeFloat = 1.0,
    batch: NonNegativeFloat = 1.0,
    classes: NonNegativeFloat = 1.0,
    standardise: bool = False,
) -> Tensor:
    """Multi-level logit distillation of Jin et al. 2023 (CVPR): images, batch and classes.

    sum over ``temperatures`` (2, 3, 4, 5, 6) of images * T^2 KL(P_teacher || P_student) + batch * |P P^T gaps|^2 / B +
    classes * |P^T P gaps|^2 / C, with P [B, C] the softened probabilities. The last two compare the images of a batch.
    The authors feed a second, stronger view of each image too and weigh by half what is of the weaker one; here there
    is one view, unweighed. ``standardise`` is for the first part, as in arXiv:2403.01427.
    """
    total = torch.zeros((), device=student_logits_BC.device)
    for temperature in temperatures or (2.0, 3.0, 4.0, 5.0, 6.0):
        soften = softening(temperature)
        s, t = soften(full(student_logits_BC)).softmax(1), taught(teacher_logits_BC, soften).softmax(1)
        within_batch, within_classes = _gram_gap(s, t), _gram_gap(s.T, t.T)
        soften = softening(temperature, standardise=standardise)
        of_images = divergence(soften(full(student_logits_BC)), taught(teacher_logits_BC, soften))
        total = total + images * temperature**2 * of_images + batch * within_batch + classes * within_classes
    return total


def _gram_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared difference of all rows' inner products, over the rows."""
    return (student @ student.T - teacher @ teacher.T).square().sum() / len(student)
