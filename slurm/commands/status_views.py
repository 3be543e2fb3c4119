"""What kd-status shows of a run: the table or the JSON of its jobs, the table live, the ends of their logs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kd.errors import ClusterError, printable
from kd.rundir.folders import RunFolder
from kd.rundir.job_state import OVER_WITHOUT_RESULT
from slurm.commands.status_table import render, summary
from slurm.state import logs
from slurm.state.job_status import JobStatus, counts, snapshot, to_json
from slurm.state.planned_jobs import read_jobs, select
from slurm.submission.executors import EXECUTORS, ON_THIS_MACHINE

if TYPE_CHECKING:
    from rich.text import Text

URGENCY = ("running", "failed", "stopped", "queued", "not submitted", "done")  # what a small terminal shows first


def print_states(run: RunFolder, *, as_json: bool) -> int:
    """Print how every job is; return the exit code."""
    states, trouble = _ask_for_states(run)
    if trouble:
        print(printable(trouble), file=sys.stderr)
    if as_json:
        print(json.dumps({"run": str(run.path), "counts": counts(states), "jobs": [to_json(one) for one in states]}))
    else:
        terminal = sys.stdout.isatty()
        print(render(states, width=_terminal_width() if terminal else None, colour=terminal))
        print(_summary(run, states))
    return exit_code(states)


def _terminal_width() -> int:
    import shutil  # only here: it loads every compression library, and a script's kd-status asks for no width

    return shutil.get_terminal_size().columns


def exit_code(states: Sequence[JobStatus]) -> int:
    """Return 1 when a job failed or was stopped, else 0."""
    return int(any(state.phase in OVER_WITHOUT_RESULT for state in states))


def _ask_for_states(run: RunFolder) -> tuple[list[JobStatus], str]:
    """Return the states and, where Slurm does not answer, a line about it: then the run's files alone count."""
    try:
        return snapshot(run, EXECUTORS), ""
    except ClusterError as error:
        return snapshot(run, ON_THIS_MACHINE), f"Slurm is silent ({error}): what follows is from the run's files alone"


def _summary(run: RunFolder, states: Sequence[JobStatus]) -> str:
    line = summary(run.name, states)
    return f"{line}; report: {run.report_json}" if run.report_json.is_file() else line


def watch(run: RunFolder, seconds: float) -> int:
    """Redraw until no job runs or can still run; Ctrl-C ends the watching only."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    states: list[JobStatus] = []
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                states, trouble = _ask_for_states(run)
                live.update(_screen(run, states, trouble, console.size), refresh=True)
                if not any(state.phase in ("running", "queued") for state in states):
                    break
                time.sleep(seconds)
        except KeyboardInterrupt:
            return 130
    return exit_code(states)


def _screen(run: RunFolder, states: Sequence[JobStatus], trouble: str, size: tuple[int, int]) -> Text:
    """Return what fits the terminal: the summary and, when there are too many jobs, those first that are not over."""
    from rich.text import Text

    width, height = size
    room = max(3, height - 4)
    lines = render(states, width=width, colour=True).splitlines()
    if len(lines) > room:
        urgent = sorted(states, key=lambda state: URGENCY.index(state.phase))
        lines = [*render(urgent[:room], width=width, colour=True).splitlines()[:room], "…"]
    foot = [printable(trouble)] if trouble else []
    return Text.from_ansi("\n".join([*lines, *foot, _summary(run, states)]), no_wrap=True, overflow="ellipsis")


def print_logs(run: RunFolder, name: str, lines: int) -> int:
    for key in select(read_jobs(run), [name]):
        found = logs.newest_logs(run, key)
        if not found:
            print(f"{key}: no log yet; kd-status {run.name} says why")
        for path in found:
            print(f"==> {printable(str(path))} <==")
            print("\n".join(printable(line.expandtabs()) for line in logs.tail(path, lines)))
    return 0
