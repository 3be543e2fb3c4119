"""Job states as a plain text table: aligned columns, empty ones left out, the reason last and wrapped to fit."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from kd.columns import aligned
from kd.durations import rough_duration
from kd.errors import printable
from slurm.state.job_status import JobStatus, counts

COLOURS = {"done": "32", "running": "36", "queued": "33", "failed": "31", "stopped": "35", "not submitted": "2"}
NARROWEST = 40  # characters for the reason beside the other columns; with less room it goes below them
INDENT = 4
_HEADINGS = (
    "stage",
    "seed",
    "state",
    "epoch",
    "metric",
    "left",
    "images/s",
    "partition",
    "node",
    "restarts",
    "job",
    "why",
)
_WHY = _HEADINGS.index("why")


def render(states: Sequence[JobStatus], *, width: int | None = None, colour: bool = False) -> str:
    """Return the table: a line per job, and more where a reason does not fit ``width`` (None: every width fits)."""
    rows = [tuple(map(printable, _row(state))) for state in states]  # texts of a run's files may drive a terminal
    if not rows:
        return "no jobs"
    head, *cells_of_rows = aligned(_HEADINGS[:_WHY], rows)
    beside = sum(len(cell) + 2 for cell in head)
    state = [cell.rstrip() for cell in head].index("state")
    below = width is not None and width - beside < NARROWEST
    indent = INDENT if below else beside
    if not below and any(row[_WHY] for row in rows):
        head.append(_HEADINGS[_WHY])
    lines = ["  ".join(head).rstrip()]
    for row, cells in zip(rows, cells_of_rows, strict=True):
        why = textwrap.wrap(row[_WHY], max(NARROWEST, width - indent)) if width else [row[_WHY]]
        if colour:
            cells[state] = _coloured(cells[state])
        lines.append("  ".join(cells if below else [*cells, *why[:1]]).rstrip())
        lines += [" " * indent + more for more in (why if below else why[1:])]
    return "\n".join(lines)


def summary(name: str, states: Sequence[JobStatus]) -> str:
    """Return ``cnn: 3 done, 2 running, 5 queued of 10 jobs``."""
    numbers = ", ".join(f"{number} {phase}" for phase, number in counts(states).items())
    return f"{name}: {numbers} of {len(states)} jobs"


def _row(state: JobStatus) -> tuple[str, ...]:
    return (
        state.key.stage,
        "" if state.key.seed is None else str(state.key.seed),
        state.phase,
        "" if state.epoch is None else f"{state.epoch}/{'?' if state.epochs is None else state.epochs}",
        "" if state.value is None else f"{state.metric or 'metric'} {state.value:.4f}",
        "" if state.seconds_left is None else rough_duration(state.seconds_left),
        "" if state.images_per_second is None else f"{state.images_per_second:.0f}",
        state.partition or "",
        state.node or "",
        str(state.restarts or ""),
        state.job_id or "",
        state.why,
    )


def _coloured(state: str) -> str:
    code = COLOURS.get(state.rstrip())
    return state if code is None else f"\x1b[{code}m{state}\x1b[0m"
