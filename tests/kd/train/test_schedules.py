"""Learning-rate factors at the moments where they change."""

from __future__ import annotations

import pytest

from kd.catalog import entries, load
from kd.train.schedules import constant, cosine, multistep, step, stretched, triangular


def test_multistep_drops_at_each_milestone() -> None:
    factor = multistep(300, milestones=[225, 150, 275], gamma=0.1)
    assert [factor(e) for e in (0, 149.99, 150, 225, 299)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])


def test_step_drops_every_so_many_epochs() -> None:
    factor = step(30, every=10, gamma=0.5)
    assert [factor(e) for e in (0, 9.99, 10, 25)] == pytest.approx([1, 1, 0.5, 0.25])


def test_cosine_falls_from_one_to_the_final_fraction_after_its_warmup() -> None:
    factor = cosine(12, warmup=2, final=0.1)
    assert [factor(e) for e in (2, 7, 12)] == pytest.approx([1, 0.55, 0.1])


def test_warmup_rises_linearly_from_zero() -> None:
    factor = constant(10, warmup=4)
    assert [factor(e) for e in (0, 1, 2, 4, 9)] == pytest.approx([0, 0.25, 0.5, 1, 1])


def test_a_stretched_schedule_passes_through_the_whole_in_fewer_epochs() -> None:
    whole = cosine(12, warmup=2, final=0.1)
    short = stretched(whole, 12 / 3)
    assert [short(e) for e in (0, 0.25, 0.5, 3)] == pytest.approx([whole(e) for e in (0, 1, 2, 12)])


@pytest.mark.parametrize("name", entries("schedule"))
def test_every_schedule_stays_between_zero_and_one(name: str) -> None:
    mandatory = {"multistep": {"milestones": [3]}, "step": {"every": 2}}
    warmup = {} if name == "triangular" else {"warmup": 1.5}
    factor = load("schedule", name)(8, **mandatory.get(name, {}), **warmup)
    assert all(0 <= factor(tenth / 10) <= 1 for tenth in range(81))
    assert factor(1.5) > 0


def test_a_triangle_rises_to_its_peak_and_falls_to_its_end() -> None:
    factor = triangular(8, peak=0.25, start=0.2, end=0.1)
    assert [factor(epoch) for epoch in (0, 1, 2, 5, 8)] == pytest.approx([0.2, 0.6, 1, 0.55, 0.1])
