"""Weightings: rows of sum 1 that follow what their names say, against the formulas written out."""

from __future__ import annotations

import pytest
import torch

from kd import catalog
from kd.distill.weighting import entropy, fixed, label, uniform
from kd.errors import SpecError

B, M, C = 8, 3, 4
LOGITS, LABELS = torch.randn(B, M, C) * 3, torch.arange(B) % C
ARGUMENTS = {"fixed": {"shares": [1.0, 0.0, 3.0]}}


@pytest.mark.parametrize("name", catalog.entries("weighting"))
def test_weights_are_a_distribution_over_the_teachers(name: str) -> None:
    weights = catalog.load("weighting", name)(M, C, **ARGUMENTS.get(name, {}))(LOGITS, LABELS)
    assert weights.shape == (B, M)
    assert weights.dtype is torch.float32
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(B))


@pytest.mark.parametrize("name", [name for name in catalog.entries("weighting") if name != "fixed"])
def test_one_teacher_alone_has_weight_one(name: str) -> None:
    weights = catalog.load("weighting", name)(1, C)(LOGITS[:, :1], LABELS)
    torch.testing.assert_close(weights, torch.ones(B, 1))


def test_the_formulas() -> None:
    p = LOGITS.double().softmax(-1)
    torch.testing.assert_close(uniform(M, C)(LOGITS, LABELS), torch.full((B, M), 1 / 3))
    shares = fixed(M, C, shares=[1.0, 0.0, 3.0])(LOGITS, LABELS)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 0.75]).expand(B, M))
    certainty = torch.exp((p * p.log()).sum(-1) * 2)
    expected = (certainty / certainty.sum(1, keepdim=True)).float()
    torch.testing.assert_close(entropy(M, C, sharpness=2.0)(LOGITS, LABELS), expected)
    own = p[torch.arange(B), :, LABELS]
    torch.testing.assert_close(label(M, C)(LOGITS, LABELS), (own / own.sum(1, keepdim=True)).float())


def test_who_is_sure_and_who_is_right_count_more() -> None:
    sure, unsure = [9.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0]
    said = torch.tensor([[sure, unsure]])
    assert entropy(2, C)(said, torch.tensor([1]))[0, 0] > 0.75
    assert label(2, C)(said, torch.tensor([0]))[0, 0] > 0.75
    assert label(2, C)(said, torch.tensor([1]))[0, 0] < 0.01


@pytest.mark.parametrize("shares", [[1.0], [0.0, 0.0]])
def test_shares_for_other_teachers_are_refused(shares: list[float]) -> None:
    with pytest.raises(SpecError, match="2 shares"):
        fixed(2, C, shares=shares)
