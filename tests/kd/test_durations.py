"""Lengths of time, in at most two units."""

from __future__ import annotations

import pytest

from kd.durations import rough_duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86399, "1 d 0 h"),
        (100000, "1 d 3 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert rough_duration(seconds) == said
