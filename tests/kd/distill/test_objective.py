"""The weighted sum of named terms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kd.distill.objective import Term, WeightedTerms, make_term
from kd.errors import SpecError
from kd.losses.logit import ce, kd
from kd.models.resnet import resnet8
from kd.train.step import Batch


def batch(size: int = 4) -> Batch:
    images = torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(images=images, labels=torch.arange(size), indices=torch.arange(size), view=0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))


TEACHER_LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))


def test_the_total_is_the_weighted_sum_and_the_parts_are_named_and_not_weighted() -> None:
    model, it = network(), batch()
    terms = [make_term("ce", 0.5, {"label_smoothing": 0.1}), make_term("kd", 2.0, {"temperature": 3.0})]
    objective = WeightedTerms(terms, student=model, teacher=lambda batch: {"teacher_logits_BC": TEACHER_LOGITS})
    losses = objective(model, it)
    logits = model(it.images)
    expected = [ce(logits, it.labels, label_smoothing=0.1), kd(logits, TEACHER_LOGITS, temperature=3.0)]
    assert objective.names == ("ce", "kd")
    torch.testing.assert_close(losses.parts, torch.stack(expected))
    torch.testing.assert_close(losses.total, 0.5 * expected[0] + 2.0 * expected[1])
    torch.testing.assert_close(losses.logits, logits)
    assert losses.total.requires_grad
    assert not losses.parts.requires_grad
    assert not losses.logits.requires_grad


def test_a_teacher_that_no_term_asks_for_is_never_run() -> None:
    def teacher(batch: Batch) -> dict[str, Tensor]:
        raise AssertionError("the teacher ran")

    model = network()
    losses = WeightedTerms([make_term("ce", 1.0)], student=model, teacher=teacher)(model, batch())
    assert losses.total.isfinite()


def test_features_reach_a_term_that_asks_for_them() -> None:
    def pooled_norm(student_features: dict[str, Tensor]) -> Tensor:
        return student_features["pooled"].square().mean()

    model = resnet8(5, 3, 8, width=4)
    term = Term(name="norm", weight=1.0, loss=pooled_norm, inputs=("student_features",))
    objective = WeightedTerms([term], student=model)
    objective(model, batch()).total.backward()
    assert model.conv1.weight.grad.abs().sum() > 0
    assert model.fc.weight.grad is None


def test_losses_are_float32_under_a_bfloat16_network() -> None:
    model = network()
    objective = WeightedTerms(
        [make_term("ce", 1.0)], student=model, autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16)
    )
    losses = objective(model, batch())
    assert losses.total.dtype == losses.logits.dtype == torch.float32


def test_a_term_without_its_teacher_and_an_empty_loss_are_refused() -> None:
    with pytest.raises(SpecError, match="kd needs a teacher"):
        WeightedTerms([make_term("ce", 1.0), make_term("kd", 1.0)], student=network())
    with pytest.raises(SpecError, match="at least one term"):
        WeightedTerms([], student=network())
