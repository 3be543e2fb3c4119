"""What a training tells while it runs: metrics.csv, one row per epoch, and progress.json, a heartbeat."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd.files import write_json, write_text
from kd.train.state import Row


class MetricsFile:
    """metrics.csv: the columns of the first row are the header; every epoch stands in it once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Make the file hold exactly these rows: what a resumed job knows of, no more."""
        write_text(self.path, _lines(rows[:1], header=True) + _lines(rows[1:]) if rows else "")

    def append(self, row: Row) -> None:
        """Add the row of an epoch. Not fsynced: a resumed job rewrites the file from its checkpoint."""
        new = not self.path.exists() or self.path.stat().st_size == 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(_lines([row], header=new))


def _lines(rows: Sequence[Row], *, header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if header:
            writer.writerow(row)
        writer.writerow([value if isinstance(value, int) else f"{value:.8g}" for value in row.values()])
    return text.getvalue()


class Heartbeat:
    """progress.json, written now and then: ``due`` says whether ``seconds`` went by since the last time."""

    def __init__(self, path: Path, *, seconds: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._seconds, self._clock = seconds, clock
        self._next = clock()

    def due(self) -> bool:
        """Return whether it is time to write again."""
        return self._clock() >= self._next

    def write(self, values: Mapping[str, Any]) -> None:
        """Write ``values`` and the time of writing."""
        write_json(self.path, {**values, "updated": time.time()})
        self._next = self._clock() + self._seconds
