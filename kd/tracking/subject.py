"""What is tracked: a training, in the words that all programs are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kd.rundir.metrics_file import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A training: the pipeline and the run that it belongs to, its job, its folder, and its settings by dotted name."""

    pipeline: str
    run: str
    job: str
    folder: Path
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """How a curve is called: ``quickstart/distilled/seed-42``."""
        return f"{self.run}/{self.job}"


class Curve(Protocol):
    """A curve that is open in a program. ``run_id`` is what the program knows it by, now and after a requeue."""

    run_id: str

    def add(self, row: Row) -> None:
        """Add an epoch."""

    def close(self, *, finished: bool) -> None:
        """Send what is left. ``finished`` is whether the training is over, not only interrupted."""


def dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as dotted names and texts."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
