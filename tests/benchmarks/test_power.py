"""How many seeds an effect needs: against known figures, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.power import further_comparisons, seeds_needed
from kd.report.statistics import paired_t_p


@pytest.mark.parametrize(("effect_size", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (-0.5, 34), (4.7, 3)])
def test_the_seeds_are_those_of_the_tables(effect_size: float, seeds: int) -> None:
    """Of a two-sided paired t test at 5 % with 80 % power (G*Power, R's pwr.t.test)."""
    assert seeds_needed(effect_size) == seeds


def test_no_number_of_seeds_shows_what_is_nothing() -> None:
    assert seeds_needed(0.0) is None
    assert seeds_needed(1e-4) is None


def test_that_many_seeds_show_it_in_four_of_five_trials() -> None:
    draws = np.random.default_rng(0).normal(1.2, 1, size=(1000, seeds_needed(1.2)))
    shown = np.mean([paired_t_p(list(row)) < 0.05 for row in draws])
    assert 0.77 < shown < 0.87


def test_pairs_are_compared_at_the_last_epoch_too() -> None:
    stages = {
        "a": {"last_epoch": {"values": {"1": 0.8, "2": 0.9}}},
        "b": {"last_epoch": {"values": {"1": 0.7, "2": 0.75}}},
    }
    pair = {"stage": "a", "against": "b", "effect_size_dz": 0.8}
    (found,) = further_comparisons({"stages": stages, "comparisons": [pair]})
    assert found["seeds_needed"] == 15
    assert found["last_epoch"]["difference"] == pytest.approx(0.125)
    assert found["last_epoch"]["n"] == 2
