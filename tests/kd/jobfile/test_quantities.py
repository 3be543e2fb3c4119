"""Times and memory as people and Slurm write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.jobfile.quantities import MOST_MINUTES, format_minutes, parse_megabytes, parse_minutes, parse_seeds


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90m", 90), ("24h", 1440), ("1d12h", 2160), ("1d", 1440), ("1d5m", 1445), (90, 90), ("1-12:00:00", 2160),
        ("1-12", 2160), ("1-12:30", 2190), ("24:00:00", 1440), ("0:00:01", 1), ("1:30:30", 91), ("366d", MOST_MINUTES),
    ],
)  # fmt: skip
def test_times_are_minutes(text: str | int, minutes: int) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize(
    "value",
    ["", "h", "12:30", "90", "1.5h", "-1h", " 1h", "1h\n", "1h30", "1:60:00", "1m1h", "١h", 0, -5, True, 1.5, None, [],
     "367d", "9" * 6 + "d", "9" * 5000 + "h", 10**9],
)  # fmt: skip
def test_other_times_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_minutes(value)


@given(st.integers(1, MOST_MINUTES))
def test_formatted_minutes_read_back(minutes: int) -> None:
    assert parse_minutes(format_minutes(minutes)) == minutes


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("32G", 32768), ("500M", 500), ("1.5T", 1572864), ("32GB", 32768), ("32GiB", 32768), ("8 g", 8192), ("2T", 2**21)],
)  # fmt: skip
def test_memory_is_mebibytes(text: str, megabytes: int) -> None:
    assert parse_megabytes(text) == megabytes


@pytest.mark.parametrize(
    "value", ["32", 32, True, None, "0M", "0.1M", "-1G", "1K", "G", "1e3G", "1025T", "9" * 400 + "T", []]
)
def test_other_memory_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="expected an amount of memory"):
        parse_megabytes(value)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1,2,3", [1, 2, 3]), ("1-5", [1, 2, 3, 4, 5]), ("1, 2 7-9", [1, 2, 7, 8, 9]), ("42", [42]), ("3-3", [3])],
)
def test_seeds_are_read_as_people_write_them(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", " ", "a", "1-", "-1", "5-1", "1-99999999", "1.5", "1--2"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_seeds(text)
