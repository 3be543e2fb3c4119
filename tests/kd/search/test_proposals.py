"""Proposals: Sobol points fill the space; remembered trials of a made-up response pull them where it is high."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from kd.rundir.stage_spec import AxisSettings
from kd.search.proposals import FEATURES, Experience, most_promising, next_sobol_point
from kd.search.space import configuration_at, read_space, with_configuration
from tests.kd.conftest import training_settings

SPACE = read_space(
    {
        "loss.kd.temperature": AxisSettings(choices=[2.0, 4.0, 6.0, 8.0]),
        "optimizer.lr": AxisSettings(low=0.001, high=1.0, log=True),
    }
)
SETTINGS = training_settings(optimizer={"name": "sgd", "arguments": {"lr": 0.01}})
SMALL_TASK = {**dict.fromkeys(FEATURES, 1.0), "log_images": 3.0}
LARGE_TASK = {**SMALL_TASK, "log_images": 5.0}


def response(task: Mapping[str, float], configuration: Mapping[str, Any]) -> float:
    """Best at T = 6; at a learning rate of 0.1 on the small task and of 0.01 on the large one."""
    at_best = -1.0 if task["log_images"] < 4 else -2.0
    away = abs(math.log10(configuration["optimizer.lr"]) - at_best)
    return 0.9 - 0.2 * away - 0.02 * abs(configuration["loss.kd.temperature"] - 6.0)


def memory(task: Mapping[str, float], count: int) -> list[Experience]:
    """Return ``count`` trials on a task, spread at random."""
    points = np.random.default_rng(0).random((count, len(SPACE)))
    found = [configuration_at(SPACE, point.tolist()) for point in points]
    return [
        Experience(
            features=task,
            settings=with_configuration(SETTINGS, configuration),
            epochs=3,
            score=response(task, configuration),
        )
        for configuration in found
    ]


def test_sobol_points_are_distinct_fill_the_space_and_follow_the_seed() -> None:
    tried: list = []
    for _ in range(16):
        configuration = next_sobol_point(SPACE, tried, seed=1)
        assert configuration is not None
        assert configuration not in tried
        tried.append(configuration)
    assert {each["loss.kd.temperature"] for each in tried} == {2.0, 4.0, 6.0, 8.0}
    decades = [math.floor(math.log10(each["optimizer.lr"])) for each in tried]
    assert all(4 <= decades.count(decade) <= 7 for decade in (-3, -2, -1)), decades
    assert next_sobol_point(SPACE, tried[:5], seed=1) == tried[5]
    assert next_sobol_point(SPACE, [], seed=2) != tried[0]


def test_a_small_space_runs_out() -> None:
    space = read_space({"optimizer.nesterov": AxisSettings(choices=[False, True])})
    tried = [{"optimizer.nesterov": False}]
    assert next_sobol_point(space, tried, seed=1) == {"optimizer.nesterov": True}
    assert next_sobol_point(space, [*tried, {"optimizer.nesterov": True}], seed=1) is None
    assert most_promising(space, [*tried, {"optimizer.nesterov": True}], [], features={}, epochs=1, seed=1) is None


@pytest.mark.parametrize(("task", "best"), [(SMALL_TASK, 0.1), (LARGE_TASK, 0.01)])
def test_memory_pulls_to_the_region_that_was_good_on_such_a_task(task: Mapping[str, float], best: float) -> None:
    known = [*memory(SMALL_TASK, 24), *memory(LARGE_TASK, 24)]
    found = most_promising(SPACE, [], known, features=task, epochs=3, seed=1)
    assert found is not None
    assert 1 / 3 < found["optimizer.lr"] / best < 3
    sobol = [next_sobol_point(SPACE, [], seed=seed) for seed in range(5)]
    assert response(task, found) > max(response(task, each) for each in sobol if each)


def test_own_trials_that_were_bad_are_not_repeated() -> None:
    known, tried = memory(SMALL_TASK, 12), []
    for _ in range(6):
        found = most_promising(SPACE, tried, known, features=SMALL_TASK, epochs=3, seed=1)
        assert found is not None
        assert found not in tried
        tried.append(found)
        settings = with_configuration(SETTINGS, found)
        known.append(Experience(features=SMALL_TASK, settings=settings, epochs=3, score=response(SMALL_TASK, found)))
    scores = [response(SMALL_TASK, each) for each in tried]
    assert max(scores) > 0.8


def test_a_proposal_is_a_function_of_what_is_known_and_of_the_seed() -> None:
    first, second = (
        most_promising(SPACE, [], memory(SMALL_TASK, 8), features=SMALL_TASK, epochs=3, seed=seed) for seed in (1, 1)
    )
    assert first == second
