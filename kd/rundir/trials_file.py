"""checkpoint/trials.json as a value: the finished trials of a search, so that an interrupted search repeats none."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.result_sections import Trial


class TrialsFile(Struct, frozen=True, kw_only=True):
    """The trials that a search with this fingerprint has finished, and the seconds it has taken."""

    fingerprint: str
    seconds: float
    trials: list[Trial]


def write_trials(path: Path, content: TrialsFile) -> None:
    """Write the file atomically."""
    write_json(path, msgspec.to_builtins(content))


def read_trials(path: Path) -> TrialsFile | None:
    """Return the finished trials, or None when there is no such file that can be read."""
    try:
        return read_bounded_json(path, TrialsFile)
    except (OSError, ValueError):
        return None
