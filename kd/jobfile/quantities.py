"""Amounts as people write them in job files: durations and memory."""

from __future__ import annotations

import re
from typing import Any

from kd.errors import shown

SHORT = 0  # minutes of a job that runs in short slots, one after another: the cluster profile says how short
MOST_MINUTES = 366 * 24 * 60
MOST_MEGABYTES = 1024 * 1024 * 1024

_UNITS = r"(?=[0-9])(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?"
_CLOCK = r"([0-9]{1,6}):([0-5][0-9]):([0-5][0-9])"
_DAYS_CLOCK = r"([0-9]{1,6})-([0-9]{1,2})(?::([0-5][0-9])(?::([0-5][0-9]))?)?"
# also the patterns of the JSON Schema
TIME_PATTERN = f"(?:{_UNITS}|{_CLOCK}|{_DAYS_CLOCK}|short)"
MEMORY_PATTERN = r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([MGTmgt])(?:[iI]?[bB])?"
_MEGABYTES = {"M": 1, "G": 1024, "T": 1024 * 1024}
MOST_SEEDS = 10_000  # of one range


def parse_minutes(value: Any) -> int:
    """Return minutes from ``90m``, ``24h``, ``1d12h``, Slurm's ``1-12:00:00`` or ``24:00:00``, or whole minutes.

    ``short`` gives SHORT. Seconds are rounded up to a minute, as Slurm does. Raises ValueError on anything else, on
    zero and beyond a year.
    """
    if value == "short":
        return SHORT
    minutes = None
    if isinstance(value, int) and not isinstance(value, bool):
        minutes = value
    elif isinstance(value, str):
        minutes = _text_minutes(value)
    if minutes is None:
        raise ValueError(f"expected a time such as 90m, 24h, 1d12h or 1-12:00:00, got {shown(value)}")
    if not 1 <= minutes <= MOST_MINUTES:
        raise ValueError(f"expected a time from 1m to {format_minutes(MOST_MINUTES)}, got {shown(value)}")
    return minutes


def _text_minutes(text: str) -> int | None:
    if match := re.fullmatch(_UNITS, text):
        days, hours, minutes, seconds = *match.groups(), None
    elif match := re.fullmatch(_CLOCK, text):
        days, hours, minutes, seconds = None, *match.groups()
    elif match := re.fullmatch(_DAYS_CLOCK, text):
        days, hours, minutes, seconds = match.groups()
    else:
        # Slurm reads 12:30 as minutes and seconds, people as hours and minutes: refused
        return None
    return (int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0) + (int(seconds or 0) > 0)


def parse_megabytes(value: Any) -> int:
    """Return mebibytes from ``32G``, ``500M`` or ``1.5T``. Raises ValueError on others, below 1M and above 1024T."""
    match = re.fullmatch(MEMORY_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected an amount of memory such as 32G or 500M, got {shown(value)}")
    megabytes = int(float(match[1]) * _MEGABYTES[match[2].upper()])
    if not 1 <= megabytes <= MOST_MEGABYTES:
        raise ValueError(f"expected an amount of memory from 1M to 1024T, got {shown(value)}")
    return megabytes


def format_minutes(minutes: int) -> str:
    """Return minutes as people read them: ``90`` is ``1h30m``, SHORT is ``short``."""
    if minutes == SHORT:
        return "short"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m")]
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as ``1,2,5-8`` or ``1 2 3``. Raises ValueError when it is none."""
    seeds: list[int] = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ValueError(f"expected whole numbers, as in 1,2,3 or 1-5, got {text!r}")
        if dash and int(last) - int(first) not in range(MOST_SEEDS):
            raise ValueError(f"expected a range of up to {MOST_SEEDS:,} seeds, the smaller one first, got {part!r}")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise ValueError(f"expected whole numbers, as in 1,2,3 or 1-5, got {text!r}")
    return seeds
