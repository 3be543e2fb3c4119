"""The run's Gantt chart: when each job waited in the queue, copied files, and trained. A line for each job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kd.report.figures.style import STYLE, WIDTH_INCHES, in_two_lines
from kd.report.report_stages import JobRecord
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# phase -> colour; after a requeue the time before the last start holds earlier attempts too
PHASES = {"in the queue": "#98a2b3", "staging": "#E69F00", "running": "#0072B2"}
SHORTEST_STAGING = 0.5  # seconds worth showing
BETWEEN_STAGES = 0.6  # of a lane
UNITS = ((86400.0 * 3, 86400.0, "days"), (3600.0 * 3, 3600.0, "hours"), (180.0, 60.0, "minutes"))


class Bar(NamedTuple):
    """A phase of a job, from second to second."""

    phase: str
    begin: float
    end: float


def timeline(family: Family, base: Path) -> Figure | None:
    """Draw when the finished jobs ran; None where fewer than two of them have times."""
    lanes = {
        name: [bars for job in stage.jobs.values() if (bars := list(_bars(job)))]
        for name, stage in family.stages.items()
    }
    lanes = {name: jobs for name, jobs in lanes.items() if jobs}
    count = sum(len(jobs) for jobs in lanes.values())
    if count < 2:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "font.size": 8}):
        height = max(1.4, 0.9 + 0.09 * count + 0.13 * len(lanes))
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        _draw(figure.add_subplot(), lanes)
    return figure


def _bars(job: JobRecord) -> Iterator[Bar]:
    """Yield the phases of a job's last attempt; nothing of one whose start is unknown."""
    start = job.started
    if not start or not job.finished:
        return
    if job.submitted and job.submitted < start:
        yield Bar("in the queue", job.submitted, start)
    seconds_in = (job.staging.seconds_in if job.staging else None) or 0.0
    if seconds_in > SHORTEST_STAGING:
        yield Bar("staging", start, start + seconds_in)
    yield Bar("running", start + seconds_in, max(job.finished, start + seconds_in))


def _draw(axes: Axes, lanes: dict[str, list[list[Bar]]]) -> None:
    bars = [bar for jobs in lanes.values() for job in jobs for bar in job]
    zero, last = min(bar.begin for bar in bars), max(bar.end for bar in bars)
    unit, word = next(((unit, word) for most, unit, word in UNITS if last - zero > most), (1.0, "seconds"))
    place, middles = 0.0, []
    for jobs in lanes.values():
        first = place
        for job in jobs:
            for bar in job:
                width = max((bar.end - bar.begin) / unit, 0.002 * (last - zero) / unit)
                axes.barh(place, width, left=(bar.begin - zero) / unit, height=0.85, color=PHASES[bar.phase])
            place += 1
        middles.append((first + place - 1) / 2)
        place += BETWEEN_STAGES
    axes.set_yticks(middles, [in_two_lines(name) for name in lanes], fontsize=7)
    axes.set_ylim(place - BETWEEN_STAGES, -0.8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{word} since the first of these jobs was submitted or started")
    _legend(axes, {bar.phase for bar in bars})


def _legend(axes: Axes, phases: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=shade, label=phase) for phase, shade in PHASES.items() if phase in phases]
    axes.legend(handles=handles, ncols=len(PHASES), fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
