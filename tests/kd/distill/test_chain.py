"""The chain's rule: a step counts when it saves errors, more than chance would, and nothing after a refusal does."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from kd.distill.chain import choose

IMAGES = 1000


def student(*wrong: range) -> Tensor:
    """Return what a student gets right that errs on these images."""
    correct = torch.ones(IMAGES, dtype=torch.bool)
    for each in wrong:
        correct[each.start : each.stop] = False
    return correct


def test_each_step_that_saves_errors_is_taken() -> None:
    chosen, steps = choose([student(range(100)), student(range(80)), student(range(60))], minimum_gain=0.05)
    assert chosen == 2
    assert [step.accepted for step in steps] == [True, True, True]
    assert [step.error for step in steps] == pytest.approx([0.1, 0.08, 0.06])


def test_a_plateau_ends_the_chain_and_what_follows_is_not_looked_at() -> None:
    chosen, steps = choose([student(range(100)), student(range(99)), student(range(10))], minimum_gain=0.05)
    assert chosen == 0
    assert [step.accepted for step in steps] == [True, False, False]
    assert (steps[1].fall, steps[1].needed) == pytest.approx((0.001, 0.005))
    assert steps[2].fall is None
    assert steps[2].error == pytest.approx(0.01)


def test_each_step_is_held_against_the_one_before() -> None:
    students = [student(range(100)), student(range(50)), student(range(49))]
    assert choose(students, minimum_gain=0.05)[0] == 1


def test_a_fall_within_one_paired_standard_error_is_chance() -> None:
    first, lucky = student(range(100)), student(range(94, 182))  # 94 won, 82 lost: 12 fewer errors of 100
    chosen, (_, step) = choose([first, lucky], minimum_gain=0.05)
    won, lost = 94, 82
    variance = ((won + lost) - (won - lost) ** 2 / IMAGES) / (IMAGES - 1)
    assert step.standard_error == pytest.approx(sqrt(variance / IMAGES))
    assert step.fall == pytest.approx(0.012)
    assert chosen == 0, "12 % fewer errors, but one standard error is 13 images"
    assert choose([first, student(range(12, 100))], minimum_gain=0.05)[0] == 1, "the same fall, on the same images"


def test_equal_and_perfect_students_end_the_chain() -> None:
    perfect = student()
    assert choose([perfect, perfect], minimum_gain=0.0)[0] == 0
    assert choose([student(range(5)), student(range(5))], minimum_gain=0.0)[0] == 0


def test_of_several_labels_an_image_counts_by_the_share_that_is_right() -> None:
    half, most = torch.full((IMAGES,), 0.5), torch.full((IMAGES,), 0.75)
    chosen, (first, second) = choose([half, most], minimum_gain=0.05)
    assert chosen == 1
    assert (first.error, second.fall, second.standard_error) == (0.5, 0.25, 0.0)
