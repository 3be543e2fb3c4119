"""How numbers read."""

from __future__ import annotations

import pytest

from kd.report import formatting
from kd.rundir.result_sections import Selection, SelectionStep


def test_fractions_read_as_percent_and_differences_as_points() -> None:
    assert formatting.percent(0.912) == "91.20"
    assert formatting.points(0.012) == "+1.20"
    assert formatting.points(-0.012) == "\N{MINUS SIGN}1.20"
    assert formatting.mean_sd(0.912, 0.0031) == "91.20 ± 0.31"
    assert formatting.mean_sd(0.912, None) == "91.20"
    assert formatting.interval([0.9, 0.92]) == "90.00 to 92.00"


@pytest.mark.parametrize(
    "write",
    [
        formatting.percent,
        formatting.points,
        formatting.interval,
        formatting.p_value,
        formatting.plain,
        formatting.duration,
        formatting.count,
    ],
)
def test_what_is_not_known_is_a_dash(write: object) -> None:
    assert callable(write)
    assert write(None) == "–"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0625, "0.0625"), (0.5, "0.50"), (1.0, "1.00"), (0.00003, "below 0.0001"), (0.04999, "0.05")]
)
def test_p_values(p: float, text: str) -> None:
    assert formatting.p_value(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.21, "4.2 s"), (42.4, "42 s"), (425, "7 min 05 s"), (3599.7, "1 h 00 min"), (12_000, "3 h 20 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(950, "950"), (78_042, "78 k"), (11_173_962, "11.2 M"), (4_000_000_000, "4 G"), (0, "0")]
)
def test_counts(number: float, text: str) -> None:
    assert formatting.count(number) == text


def test_the_steps_of_a_chain_tell_what_was_saved_and_what_was_needed() -> None:
    first = SelectionStep(candidate="teacher", error=0.091, accepted=True)
    second = SelectionStep(candidate="assistant", error=0.082, fall=0.009, needed=0.0046, accepted=True)
    selection = Selection(chosen="assistant", images=80, steps=[first, second])
    assert formatting.steps(selection) == "teacher 9.10, assistant 8.20 (+0.90 of 0.46 needed)"


def test_parameters_say_how_many_were_trained_where_some_were_frozen() -> None:
    assert formatting.parameters(103_418_882, 98_294_786) == "103 M, 98.3 M of them trained"
    assert formatting.parameters(78_042, 78_042) == formatting.parameters(78_042, None) == "78 k"
