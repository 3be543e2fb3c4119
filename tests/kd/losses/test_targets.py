"""Losses that change what is learned."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from kd.losses.targets import ofa, wsld

B, C = 6, 5
LABELS = torch.arange(B) % C


def made() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(B, C, generator=draw, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(), teacher


def test_no_gradient_flows_through_the_weights_of_wsld() -> None:
    student, teacher = made()
    (ours,) = torch.autograd.grad(wsld(student, teacher, LABELS), student)
    own, theirs = (F.cross_entropy(z, LABELS, reduction="none").detach() for z in (student, teacher))
    weights = 1 - torch.exp(-own / (theirs + 1e-7))
    soft = -((teacher / 2).softmax(1) * (student / 2).log_softmax(1)).sum(1)
    (expected,) = torch.autograd.grad(4 * (weights * soft).mean(), student)
    torch.testing.assert_close(ours, expected)


def test_wsld_counts_an_image_less_that_the_student_classifies_better_than_its_teacher() -> None:
    teacher = torch.zeros(1, C)
    sure, unsure = (torch.tensor([[z, 0.0, 0.0, 0.0, 0.0]]) for z in (9.0, -9.0))
    label = torch.zeros(1, dtype=torch.int64)
    assert wsld(sure, teacher, label) < 1e-3 * wsld(unsure, teacher, label)


def test_ofa_at_epsilon_one_is_the_cross_entropy_with_the_teachers_probabilities() -> None:
    student, teacher = made()
    torch.testing.assert_close(ofa(student, teacher, LABELS), F.cross_entropy(student, teacher.softmax(1)))
