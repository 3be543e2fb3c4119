"""Which configuration to try next: points that fill the space, or what earlier trials promise.

With fewer than five remembered trials there is nothing to learn from: configurations are Sobol points. With more, a
model of score = f(task, configuration, epochs) is learned from all that is remembered and all that this search has
finished, and the candidate with the highest mean + standard deviation is tried. The model is a forest of extremely
randomised trees (Geurts et al., 2006); its standard deviation is that over the trees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kd.data.hashing import hash_stream, stream_key
from kd.rundir.stage_spec import TrainSettings
from kd.search.space import Configuration, Dimension, configuration_at, setting

LEAST_REMEMBERED = 5
CANDIDATES = 256  # a power of two, as Sobol points are balanced
TREES = 128

# What a task is described by. Counts are logarithms: trees draw their thresholds uniformly between the least and the
# greatest value. To shift or scale a feature would change nothing.
FEATURES = (
    "log_images",  # to train on
    "log_classes",
    "log_pixels",  # of an image, times its channels
    "imbalance",  # images of the most frequent class per image of the rarest
    "log_parameters",  # of the student
    "log_teacher_parameters",  # of all teachers
    "teacher_accuracy",  # of the best teacher on the validation images
    "teachers",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """One finished trial, of this search or another: the task's features, the whole settings, what came of them."""

    features: Mapping[str, float]
    settings: TrainSettings
    epochs: int
    score: float  # 0 when it diverged


def next_sobol_point(space: Sequence[Dimension], tried: Sequence[Configuration], seed: int) -> Configuration | None:
    """Return the first Sobol point that was not tried, None when the space holds no further configuration."""
    return next(iter(_fresh(space, tried, stream_key("search", seed))), None)


def most_promising(
    space: Sequence[Dimension],
    tried: Sequence[Configuration],
    known: Sequence[Experience],
    *,
    features: Mapping[str, float],
    epochs: int,
    seed: int,
) -> Configuration | None:
    """Return the candidate of which ``known`` trials promise most, None when the space holds no further one.

    It is judged for the task with these ``features`` and for trainings of ``epochs``.
    """
    candidates = _fresh(space, tried, stream_key("candidates", len(tried), seed))
    if not candidates:
        return None

    def row(value_of: Callable[[str], Any], task: Mapping[str, float], length: int) -> list[float]:
        positions = [dimension.position(value_of(dimension.key)) for dimension in space]
        return [*positions, *(task.get(name, 0.0) for name in FEATURES), math.log(length)]

    rows = [row(partial(setting, each.settings), each.features, each.epochs) for each in known]
    asked = [row(candidate.__getitem__, features, epochs) for candidate in candidates]
    scores = np.array([each.score for each in known])
    bounds = upper_bounds(np.array(rows), scores, np.array(asked), seed=seed)
    return candidates[int(bounds.argmax())]


def upper_bounds(
    rows_NF: NDArray[np.float64], values_N: NDArray[np.float64], asked_MF: NDArray[np.float64], *, seed: int
) -> NDArray[np.float64]:
    """Return mean + standard deviation [M] of a forest that learned ``values_N`` at ``rows_NF``."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(n_estimators=TREES, random_state=stream_key("forest", seed) % 2**32)
    forest.fit(rows_NF, values_N)
    trees_TM = np.stack([tree.predict(asked_MF) for tree in forest.estimators_])
    bounds: NDArray[np.float64] = trees_TM.mean(axis=0) + trees_TM.std(axis=0)
    return bounds


def _fresh(space: Sequence[Dimension], tried: Sequence[Configuration], key: int) -> list[Configuration]:
    """Return distinct configurations at Sobol points, shifted at random, without those tried before."""
    from scipy.stats.qmc import Sobol

    points = Sobol(len(space), scramble=False).random_base2(int(math.log2(CANDIDATES)))
    shifts = hash_stream(key, len(space)).astype(np.float64) / 2.0**64
    found: list[Configuration] = []
    for point in (points + shifts) % 1.0:
        configuration = configuration_at(space, point.tolist())
        if configuration not in found and configuration not in tried:
            found.append(configuration)
    return found
