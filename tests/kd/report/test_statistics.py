"""Every number is checked against scipy, numpy or a brute-force definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kd.report import statistics as ours

DISTILLED = {"1": 0.862, "2": 0.858, "3": 0.871, "4": 0.866, "5": 0.860}
BASELINE = {"1": 0.845, "2": 0.851, "3": 0.849, "4": 0.852, "6": 0.900}
differences = st.lists(st.floats(-0.1, 0.1).map(lambda x: round(x, 4)), min_size=2, max_size=7)


def test_describe_agrees_with_numpy_and_scipy() -> None:
    values = list(DISTILLED.values())
    sample = ours.describe(values)
    assert sample.n == 5
    assert sample.mean == pytest.approx(np.mean(values))
    assert sample.sd == pytest.approx(np.std(values, ddof=1))
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert sample.ci95 == pytest.approx((low, high))
    assert sample.mean is not None
    assert sample.sd is not None
    assert high - sample.mean == pytest.approx(2.776 / 5**0.5 * sample.sd, rel=1e-3)


def test_one_value_has_a_mean_but_neither_spread_nor_interval() -> None:
    assert ours.describe([0.9]) == ours.Sample(n=1, mean=0.9, sd=None, ci95=None)


def test_no_value_has_nothing() -> None:
    assert ours.describe([]) == ours.Sample(n=0, mean=None, sd=None, ci95=None)


def test_stages_are_paired_over_their_common_seeds_only() -> None:
    paired = ours.compare(DISTILLED, BASELINE)
    assert list(paired.differences) == ["1", "2", "3", "4"]
    one, two = ([values[seed] for seed in "1234"] for values in (DISTILLED, BASELINE))
    assert paired.paired_t == pytest.approx(stats.ttest_rel(one, two).pvalue)
    delta = np.subtract(one, two)
    assert paired.sample.mean == pytest.approx(delta.mean())
    assert paired.effect_size == pytest.approx(delta.mean() / delta.std(ddof=1))


@given(differences)
@settings(max_examples=40, deadline=None)
def test_sign_flip_is_the_share_of_patterns_at_least_as_far_out(values: list[float]) -> None:
    sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in product((1, -1), repeat=len(values))]
    expected = np.mean([abs(total) >= abs(sum(values)) - 1e-12 for total in sums])
    assert ours.sign_flip_p(values) == pytest.approx(expected)


def test_sign_flip_agrees_with_scipy() -> None:
    values = [0.011, 0.007, -0.002, 0.013, 0.004, 0.009]
    expected = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert ours.sign_flip_p(values) == pytest.approx(expected.pvalue)


def test_sign_flip_reaches_its_floor_and_no_lower() -> None:
    assert ours.sign_flip_p([0.01, 0.02, 0.03, 0.02, 0.01]) == ours.sign_flip_floor(5) == 0.0625


def test_sign_flip_is_not_enumerated_beyond_its_limit() -> None:
    assert ours.sign_flip_p([0.01] * 17) is None
    assert ours.sign_flip_floor(17) is None
    assert ours.sign_flip_p([0.01] * 16) == ours.sign_flip_floor(16) == 2 / 2**16


def test_equal_differences_leave_no_t_test_but_a_sign_flip_one() -> None:
    paired = ours.compare({"1": 0.9, "2": 0.8, "3": 0.7}, {"1": 0.8, "2": 0.7, "3": 0.6})
    assert paired.paired_t is None
    assert paired.effect_size is None
    assert paired.sign_flip == 0.25


def test_identical_stages_are_no_different() -> None:
    paired = ours.compare(DISTILLED, DISTILLED)
    assert paired.sample.mean == 0
    assert paired.sign_flip == 1


@pytest.mark.parametrize("values", [[], [0.01]])
def test_fewer_than_two_differences_have_no_p(values: list[float]) -> None:
    assert ours.paired_t_p(values) is None
    assert ours.sign_flip_p(values) is None
    assert ours.sign_flip_floor(len(values)) is None


def test_holm_steps_down_and_never_decreases() -> None:
    # 0.01*4, max(0.02*3, ..), max(0.04*2, ..), max(0.045*1, 0.08)
    assert ours.holm([0.04, 0.01, 0.045, 0.02]) == pytest.approx([0.08, 0.04, 0.08, 0.06])


def test_holm_leaves_out_what_has_no_p() -> None:
    assert ours.holm([None, 0.03, None, 0.9]) == [None, 0.06, None, 0.9]
    assert ours.holm([0.8, 0.7]) == [1.0, 1.0]


def test_gap_closed_and_retention() -> None:
    assert ours.gap_closed(0.90, 0.80, 0.85) == pytest.approx(0.5)
    assert ours.gap_closed(0.80, 0.80, 0.85) is None
    assert ours.gap_closed(None, 0.80, 0.85) is None
    assert ours.retention(0.90, 0.81) == pytest.approx(0.9)
    assert ours.retention(0.0, 0.81) is None


def test_the_test_set_alone_blurs_an_accuracy_of_95_percent_by_043_points_at_10000_images() -> None:
    assert ours.sampling_half_width(0.95, 10_000) == pytest.approx(0.0043, abs=5e-5)
    assert ours.sampling_half_width(0.95, None) is None


@pytest.mark.parametrize("value", [None, "0.9", True, float("nan"), float("inf"), [0.9]])
def test_only_finite_numbers_count(value: object) -> None:
    assert ours.finite(value) is None
