"""The budget of a search: many short trials, few long ones (successive halving, arXiv:1502.07943).

A trial trains a configuration from its first step: what a schedule or a temperature does over a whole training happens
in a short trial too, so trials of one length compare like with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kd.rundir.result_sections import Trial

FACTOR = 3  # a third of the configurations goes on, and trains three times as long
DEFAULT = 1  # the number of the configuration that is the stage's own


class Rung(NamedTuple):
    """``configurations`` trained for ``epochs`` each."""

    configurations: int
    epochs: int


def rungs(trials: int, epochs: int) -> list[Rung]:
    """Return the rungs of a search of so many configurations, the longest trials of ``epochs``.

    The last rungs have two configurations at least, so that the default is measured against another at full length.
    """
    levels = 0
    while FACTOR ** (levels + 1) <= min(trials, epochs):
        levels += 1
    least = min(trials, 2)
    return [
        Rung(max(least, trials // FACTOR**level), epochs // FACTOR ** (levels - level)) for level in range(levels + 1)
    ]


def total_epochs(ladder: Sequence[Rung]) -> int:
    """Return the epochs that a search trains in all."""
    return sum(rung.configurations * rung.epochs for rung in ladder)


def promoted(trials: Sequence[Trial], count: int) -> list[int]:
    """Return the numbers of the ``count`` configurations to train longer: the default, and the best of the others."""
    others = sorted((trial for trial in trials if trial.number != DEFAULT), key=trial_order, reverse=True)
    return sorted([DEFAULT, *(trial.number for trial in others[: count - 1])])


def best(trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial, the earliest number of equal ones; None when all diverged."""
    finished = [trial for trial in trials if trial.score is not None]
    return max(finished, key=trial_order, default=None)


def trial_order(trial: Trial) -> tuple[float, float, int]:
    """Higher is better: validation score, then lower loss, then the earlier number; diverged ones come last."""
    if trial.score is None or trial.loss is None:
        return -1.0, 0.0, -trial.number
    return trial.score, -trial.loss, -trial.number
