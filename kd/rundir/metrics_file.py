"""metrics.csv: one row per epoch of a training, and the curves that reports read from it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from kd.files import make_folder, write_text
from kd.rundir.bounded_json import read_bounded

LARGEST = 16 << 20  # bytes; 300,000 epochs take less

Row: TypeAlias = Mapping[str, float]  # one epoch, by column
Curve: TypeAlias = dict[int, float]  # epoch -> value


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
        make_folder(self.path.parent)
        with open(self.path, "a", encoding="utf-8", newline="", opener=_opener) as file:
            file.write(_lines([row], header=new))


def read_curve(metrics: Path, column: str) -> Curve:
    """Return one column of a metrics.csv by epoch, without rows that hold no finite number; {} if absent."""
    try:
        text = io.StringIO(read_bounded(metrics, LARGEST).decode())
        rows = [(_number(row.get("epoch")), _number(row.get(column))) for row in csv.DictReader(text)]
    except (OSError, ValueError, csv.Error):
        return {}
    return {int(epoch): value for epoch, value in rows if epoch is not None and value is not None}


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)  # a link in its place may lead to any file of this user's


def _lines(rows: Sequence[Row], *, header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if header:
            writer.writerow(row)
        writer.writerow([value if isinstance(value, int) else f"{value:.8g}" for value in row.values()])
    return text.getvalue()


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None
