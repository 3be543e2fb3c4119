"""Dimensions map positions to values and back; configurations go into the settings of a spec.json."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.rundir.stage_spec import AxisSettings
from kd.search.space import UNKNOWN, Dimension, configuration_at, keys_of, read_space, setting, with_configuration
from tests.kd.conftest import training_settings

AXES = {
    "loss.kd.temperature": AxisSettings(choices=[2.0, 4.0, 8.0]),
    "loss.kd.weight": AxisSettings(low=0.3, high=0.9, log=False, whole=False, partner="loss.ce.weight"),
    "optimizer.lr": AxisSettings(low=0.001, high=0.1, log=True, whole=False),
    "schedule.every": AxisSettings(low=1, high=5, log=False, whole=True),
    "optimizer.nesterov": AxisSettings(choices=[False, True]),
}
SETTINGS = training_settings(
    epochs=9,
    optimizer={"name": "sgd", "arguments": {"lr": 0.05, "nesterov": False}},
    schedule={"name": "step", "arguments": {"every": 3}},
)


def test_the_corners_of_the_cube_are_the_bounds() -> None:
    space = read_space(AXES)
    low = configuration_at(space, [0.0] * len(space))
    high = configuration_at(space, [1 - 1e-9] * len(space))
    assert low == {
        "loss.kd.temperature": 2.0, "loss.kd.weight": 0.3, "loss.ce.weight": 0.7, "optimizer.lr": 0.001,
        "schedule.every": 1, "optimizer.nesterov": False,
    }  # fmt: skip
    assert high == {
        "loss.kd.temperature": 8.0, "loss.kd.weight": 0.9, "loss.ce.weight": 0.1, "optimizer.lr": 0.1,
        "schedule.every": 5, "optimizer.nesterov": True,
    }  # fmt: skip
    assert set(keys_of(space)) == set(low)


def test_a_log_scale_has_the_geometric_mean_in_its_middle() -> None:
    learning_rate = read_space(AXES)[2]
    assert learning_rate.value(0.5) == pytest.approx(0.01)
    assert learning_rate.position(0.01) == pytest.approx(0.5)


@given(st.floats(0, 1, exclude_max=True))
def test_every_value_lies_where_it_came_from(position: float) -> None:
    for dimension in read_space(AXES):
        value = dimension.value(position)
        assert -1e-6 <= dimension.position(value) <= 1 + 1e-6
        if dimension.low != dimension.high and not dimension.choices and not dimension.whole:
            assert dimension.position(value) == pytest.approx(position, abs=1e-4)


def test_values_of_other_searches_lie_beyond_the_bounds_or_nowhere() -> None:
    temperature, _, learning_rate, _, nesterov = read_space(AXES)
    assert temperature.position(14.0) == pytest.approx(2.0)
    assert learning_rate.position(1.0) == pytest.approx(1.5)
    assert learning_rate.position(None) == nesterov.position("maybe") == UNKNOWN
    assert Dimension(key="x", choices=("a", "b")).position("b") == 0.5
    assert Dimension(key="x", choices=(3,)).position(3) == 0.0


def test_a_configuration_changes_its_settings_and_no_others() -> None:
    before = repr(SETTINGS)
    changed = with_configuration(SETTINGS, {"loss.kd.weight": 0.9, "loss.kd.temperature": 8.0, "optimizer.lr": 0.1})
    assert repr(SETTINGS) == before
    assert setting(changed, "loss.kd.weight") == 0.9
    assert setting(changed, "loss.kd.temperature") == 8.0
    assert setting(changed, "optimizer.lr") == 0.1
    assert with_configuration(changed, {key: setting(SETTINGS, key) for key in AXES}) == SETTINGS
    assert setting(SETTINGS, "temperature.start") is None
    assert setting(SETTINGS, "loss.dkd.alpha") is None
