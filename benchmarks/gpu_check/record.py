"""The checks of one call: each is one line on the screen and one object in a JSON file."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Found = dict[str, Any]
Check = Callable[[], Found | None]
GPU = torch.cuda.is_available()
LEAST_SECONDS = 5.0


@dataclass
class Record:
    """The checks of one call, until its time is over. ``small``: sizes for a CPU."""

    file: Path
    small: bool
    ends: float
    rows: list[Found] = field(default_factory=list)

    @property
    def sizes(self) -> Found:
        """The arguments of a WholeStep for its sizes, where they are not its own."""
        return {"batch": 16, "count": 64} if self.small else {}

    def check(self, name: str, work: Check, *, least: float = LEAST_SECONDS) -> None:
        """Do a check and write down what came of it, unless fewer than ``least`` seconds are left."""
        if self.ends - time.monotonic() < least:
            self._write({"check": name, "state": "no time"})
            return
        started = time.monotonic()
        try:
            found, state = work() or {}, "ok"
        except Exception as error:  # a check that fails says so; the others go on
            found, state = {"error": f"{type(error).__name__}: {str(error)[:300]}", "at": _where(error)}, "FAIL"
        self._write({"check": name, "state": state, "seconds": round(time.monotonic() - started, 2), **found})

    def failed(self) -> list[str]:
        """Return the names of the checks that failed."""
        return [row["check"] for row in self.rows if row["state"] == "FAIL"]

    def _write(self, row: Found) -> None:
        self.rows.append(row)
        more = {name: value for name, value in row.items() if name not in ("check", "state")}
        print(f"{row['check']:58s} {row['state']} {json.dumps(more)[:400]}", flush=True)
        self.file.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def _where(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/kd/" in frame.filename]
    return f"{frames[-1].filename.rpartition('/kd/')[-1]}:{frames[-1].lineno}" if frames else "?"


def wait() -> None:
    """Wait for all that the GPU has been given to do."""
    if GPU:
        torch.cuda.synchronize()


@contextmanager
def no_waits() -> Iterator[None]:
    """Make whatever waits for the GPU inside the block an error with a stack."""
    if not GPU:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
