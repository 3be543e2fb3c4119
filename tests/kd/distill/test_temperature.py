"""Temperatures: constant or falling when they should be, inside their range, and T^2 kept in the loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from kd import catalog
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.temperature import constant, cosine, linear, loss, slope
from kd.losses.logit import kd
from kd.train.step import Batch

FALLING = [2.0 * 0.8**epoch for epoch in range(40)]


@pytest.mark.parametrize("name", catalog.entries("temperature"))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how busy the machine is, is no fault
@given(
    epoch=st.integers(0, 300),
    more=st.integers(1, 300),
    losses=st.lists(st.floats(1e-6, 1e6), min_size=301, max_size=301),
)
def test_it_stays_in_its_range(name: str, epoch: int, more: int, losses: list[float]) -> None:
    assert 2 <= catalog.load("temperature", name)(epoch, epoch + more, losses) <= 6


def test_the_ones_that_need_no_signal() -> None:
    assert [constant(epoch, 3, [], temperature=5.0) for epoch in range(3)] == [5, 5, 5]
    assert [linear(epoch, 5, []) for epoch in range(5)] == [4, 3.5, 3, 2.5, 2]
    assert linear(0, 1, []) == 4
    assert [cosine(epoch, 3, []) for epoch in range(3)] == pytest.approx([6, 4, 2])
    assert cosine(1, 5, []) == pytest.approx(4 + math.sqrt(2))


def test_it_falls_with_the_loss_and_rises_when_the_loss_does() -> None:
    values = [loss(epoch, 40, FALLING) for epoch in range(40)]
    assert values[0] == 6
    assert values[1:] == sorted(values[1:], reverse=True)
    assert values[-1] < 2.1
    worse = [*FALLING[:10], 3.0, 3.0]
    assert loss(12, 40, worse) > loss(10, 40, worse)


def test_it_falls_as_the_loss_comes_to_rest() -> None:
    values = [slope(epoch, 40, FALLING) for epoch in range(40)]
    assert values[0] == values[1] == 6, "nothing is known of a slope yet"
    assert values[3] > values[20] > values[-1]
    assert slope(3, 9, [1.0, 1.0, 1.0]) == 2


@pytest.mark.parametrize("schedule", [loss, slope])
def test_it_looks_only_at_finished_epochs(schedule) -> None:
    assert schedule(5, 40, FALLING) == schedule(5, 40, FALLING[:5])


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_of_an_epoch_has_its_temperature_squared_and_all(temperature: float) -> None:
    student = nn.Linear(3, 4)
    said = torch.randn(5, 4)
    terms = [make_term("ce", 1.0), make_term("kd", 1.0, {"temperature": 4.0})]
    asked = []

    def of_epoch(epoch: int) -> float:
        asked.append(epoch)
        return temperature

    objective = WeightedTerms(
        terms, student=student, teacher=lambda batch: {"teacher_logits_BC": said}, temperature=of_epoch
    )
    batch = Batch(images=torch.randn(5, 3), labels=torch.zeros(5).long(), indices=torch.arange(5), view=7)
    losses = objective(student, batch)
    assert asked == [7]
    assert torch.equal(losses.parts[1], kd(losses.logits, said, temperature=temperature))


def test_only_losses_that_soften_the_teachers_logits_follow_it() -> None:
    assert make_term("dkd", 1.0).temperature == 4
    assert make_term("kd", 1.0, {"temperature": 3.0}).temperature == 3
    assert make_term("ce", 1.0).temperature is None
    assert make_term("crd", 1.0).temperature is None, "it is that of a contrast between features"
