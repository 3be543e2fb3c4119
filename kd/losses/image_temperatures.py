"""Losses on logits whose temperature is not one number: learned, one per image, or the teacher's alone.

Shapes and conventions are those of ``kd.losses.logit``.
"""

from __future__ import annotations

import math

from torch import Tensor

from kd.arguments import PositiveFloat, PositiveInt
from kd.losses.adapters import LearnedTemperature
from kd.losses.mixture import Teaching, over_teachers, taught
from kd.losses.numerics import full
from kd.losses.softening import divergence, divergences, softening, standardised

__all__ = ["ctkd", "normkd", "wttm"]


def ctkd(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    adapter: LearnedTemperature,
    epoch: int,
    *,
    least: PositiveFloat = 1.0,
    span: PositiveFloat = 20.0,
    loops: PositiveInt = 10,
    standardise: bool = False,
) -> Tensor:
    """Curriculum temperature of Li et al. 2023 (arXiv:2211.16231): kd at a temperature that is learned against it.

    T = least + span * sigmoid(t), with t one parameter whose gradient is multiplied by -(1 - cos(pi e / loops)) / 2 in
    epoch e (from 1; -1 from ``loops`` on): it makes the student's task harder, the more so the later. T^2 is part of
    what is differentiated. The authors' global temperature; theirs of each image is not here.
    """
    harder = (1 - math.cos(math.pi * min((epoch + 1) / loops, 1.0))) / 2
    temperature: Tensor = least + span * adapter(harder).sigmoid()
    soften = softening(temperature, standardise=standardise)
    return temperature.square() * divergence(soften(full(student_logits_BC)), taught(teacher_logits_BC, soften))


def normkd(student_logits_BC: Tensor, teacher_logits_BC: Teaching, *, temperature: PositiveFloat = 2.0) -> Tensor:
    """NormKD of Chi et al. 2023 (arXiv:2308.00520): each image's temperature is its logits' deviation times T.

    mean_i (T d_i)^2 KL(softmax(z_teacher / (T d_teacher)) || softmax(z_student / (T d_student))), with d the (unbiased)
    deviation of an image's logits, in the factor the teacher's. A student's logits that do not vary stay as they are.
    """

    def soften(logits: Tensor) -> Tensor:
        return standardised(logits) / temperature  # as z / (T d): a softmax does not see the mean

    losses = divergences(soften(full(student_logits_BC)), taught(teacher_logits_BC, soften))
    variances = over_teachers(teacher_logits_BC, lambda logits: logits.var(-1))
    return (temperature**2 * variances * losses).mean()


def wttm(
    student_logits_BC: Tensor,
    teacher_logits_BC: Teaching,
    *,
    temperature: PositiveFloat = 4.0,
    weighted: bool = True,
) -> Tensor:
    """Transformed teacher matching of Zheng & Yang 2024 (arXiv:2402.11148): only the teacher is softened.

    mean_i w_i KL(p^(1/T) / sum p^(1/T) || q), with p the teacher's and q the student's probabilities at T = 1, and w_i
    = sum_c p_ic^(1/T), which counts images more where the teacher is less sure (without ``weighted``: 1, their TTM).
    """
    losses = divergences(full(student_logits_BC), taught(teacher_logits_BC, softening(temperature)))
    if not weighted:
        return losses.mean()

    def power_sum(logits: Tensor) -> Tensor:
        return (logits.log_softmax(-1) / temperature).logsumexp(-1).exp()

    return (over_teachers(teacher_logits_BC, power_sum) * losses).mean()
