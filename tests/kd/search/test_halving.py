"""Successive halving: the budget is kept, the default goes all the way, the best others with it."""

from __future__ import annotations

import pytest

from kd.rundir.result_sections import Trial
from kd.search.halving import Rung, best, promoted, rungs, total_epochs


def trial(number: int, score: float | None, loss: float | None = 1.0) -> Trial:
    return Trial(number=number, epochs=1, configuration={}, score=score, loss=loss, seconds=0.0)


@pytest.mark.parametrize(
    ("trials", "epochs", "ladder"),
    [
        (1, 9, [(1, 9)]),
        (2, 9, [(2, 9)]),
        (8, 1, [(8, 1)]),
        (8, 2, [(8, 2)]),
        (8, 3, [(8, 1), (2, 3)]),
        (9, 9, [(9, 1), (3, 3), (2, 9)]),
        (16, 10, [(16, 1), (5, 3), (2, 10)]),
        (27, 3, [(27, 1), (9, 3)]),
    ],
)
def test_a_third_goes_on_and_trains_three_times_as_long(trials: int, epochs: int, ladder: list) -> None:
    assert rungs(trials, epochs) == [Rung(*rung) for rung in ladder]


def test_no_search_costs_more_than_its_trials_at_full_length() -> None:
    for trials in range(1, 40):
        for epochs in range(1, 40):
            ladder = rungs(trials, epochs)
            assert ladder[0].configurations == trials
            assert ladder[-1].epochs == epochs
            assert total_epochs(ladder) <= trials * epochs
            assert all(rung.epochs >= 1 for rung in ladder)


def test_the_default_and_the_best_others_go_on() -> None:
    trials = [trial(1, 0.1), trial(2, 0.8), trial(3, None, None), trial(4, 0.9), trial(5, 0.7)]
    assert promoted(trials, 3) == [1, 2, 4]
    assert promoted(trials, 2) == [1, 4]
    assert promoted(trials, 5) == [1, 2, 3, 4, 5]


def test_ties_go_to_the_lower_loss_and_then_to_the_earlier_trial() -> None:
    equal = [trial(1, 0.5, 2.0), trial(2, 0.5, 1.0), trial(3, 0.5, 1.0), trial(4, None, None)]
    assert best(equal) == equal[1]
    assert best(equal[3:]) is None
