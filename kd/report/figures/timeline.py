"""The run's Gantt chart: when each job waited in the queue, copied files, and trained. A line for each job."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

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
LEFT_OF_IDLE = 0.05  # of the busy time: a longer time in which nothing happens is cut to this
UNITS = ((86400.0 * 3, 86400.0, "days"), (3600.0 * 3, 3600.0, "hours"), (180.0, 60.0, "minutes"))


class Bar(NamedTuple):
    """A phase of a job, from second to second."""

    phase: str
    begin: float
    end: float


Lanes: TypeAlias = dict[str, list[list[Bar]]]  # stage -> its jobs -> their phases


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


def _without_idle_time(lanes: Lanes) -> tuple[Lanes, list[float]]:
    """Cut long times in which nothing happened, as after a teacher of an earlier run; return where they were."""
    busy: list[list[float]] = []
    for bar in sorted((bar for jobs in lanes.values() for job in jobs for bar in job), key=lambda bar: bar.begin):
        if busy and bar.begin <= busy[-1][1]:
            busy[-1][1] = max(busy[-1][1], bar.end)
        else:
            busy.append([bar.begin, bar.end])
    kept = LEFT_OF_IDLE * sum(end - begin for begin, end in busy)
    gaps = [(before[1], after[0]) for before, after in pairwise(busy) if after[0] - before[1] > kept]

    def moved(moment: float) -> float:
        return moment - sum(end - begin - kept for begin, end in gaps if end <= moment)

    def cut(bar: Bar) -> Bar:
        begin = moved(bar.begin)
        return Bar(bar.phase, begin, begin + bar.end - bar.begin)

    shortened = {name: [list(map(cut, job)) for job in jobs] for name, jobs in lanes.items()}
    return shortened, [moved(begin) + kept / 2 for begin, _ in gaps]


def _draw(axes: Axes, whole: Lanes) -> None:
    lanes, cuts = _without_idle_time(whole)
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
    for moment in cuts:
        axes.axvline((moment - zero) / unit, color="#98a2b3", linestyle=":", linewidth=1)
    idle = "; dotted: idle time that is cut" if cuts else ""
    axes.set_xlabel(f"{word} since the first of these jobs was submitted or started{idle}")
    _legend(axes, {bar.phase for bar in bars})


def _legend(axes: Axes, phases: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=shade, label=phase) for phase, shade in PHASES.items() if phase in phases]
    axes.legend(handles=handles, ncols=len(PHASES), fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
