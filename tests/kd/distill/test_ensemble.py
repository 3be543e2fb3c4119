"""Several teachers are run and weighed; how losses mix what they say: tests/kd/losses/test_mixture.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.distill.ensemble import Ensemble
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.weighting import gate, uniform
from kd.losses.logit import kd
from kd.train.step import Batch

B, M, C = 6, 3, 5
BATCH = Batch(images=torch.randn(B, 4), labels=torch.arange(B) % C, indices=torch.arange(B), view=0)


def teachers(count: int = M) -> list:
    """Return teachers that say the same of every batch, each something else."""
    said = torch.randn(count, B, C) * 3
    return [lambda batch, logits=logits: {"teacher_logits_BC": logits} for logits in said]


def objective(members: list, weighting, *, temperature: float = 4.0, alone: bool = False) -> tuple:
    """Return the loss and the student's gradient of distilling from an ensemble, or (alone) from its only teacher."""
    torch.manual_seed(0)
    student = nn.Linear(4, C)
    teacher = members[0] if alone else Ensemble(members, weighting)
    terms = [make_term("ce", 0.3), make_term("kd", 0.7, {"temperature": temperature})]
    losses = WeightedTerms(terms, student=student, teacher=teacher)(student, BATCH)
    losses.total.backward()
    return losses, student.weight.grad


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_uniform_ensemble_teaches_the_mean_of_the_probabilities(temperature: float) -> None:
    members = teachers()
    losses, _ = objective(members, uniform(M, C), temperature=temperature)
    said = torch.stack([member(BATCH)["teacher_logits_BC"] for member in members])
    mean = (said / temperature).softmax(-1).mean(0)
    expected = kd(losses.logits, temperature * mean.log(), temperature=temperature)
    torch.testing.assert_close(losses.parts[1], expected)


@pytest.mark.parametrize("weighting", [uniform(1, C), gate(1, C)])
def test_one_teacher_weighed_is_plain_distillation(weighting) -> None:
    members = teachers(1)
    (weighed, gradient), (plain, plain_gradient) = (
        objective(members, weighting),
        objective(members, weighting, alone=True),
    )
    torch.testing.assert_close(weighed.total, plain.total, rtol=0, atol=1e-6)
    torch.testing.assert_close(gradient, plain_gradient, rtol=0, atol=1e-6)
