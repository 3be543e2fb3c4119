"""``kd-status RUN``: how every job of a run is, and why, as a table, live, as JSON; and the end of a job's log."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kd.errors import run_command
from kd.rundir.folders import find_run, results_folder

WATCH_SECONDS = 10.0
LINES = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-status``. Returns 0, 1 when a job failed or was stopped, 2 on the user's mistake."""
    return run_command(lambda: _status(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kd-status",
        description="Show how every job of a run is, and why.",
        epilog="Ends with 0, with 1 when a job failed or was stopped, with 2 on a mistake.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, or the name of a run in the results folder")
    parser.add_argument("--results", metavar="DIR", type=Path, help="default: $KD_RESULTS, else ./results")
    parser.add_argument(
        "--watch", metavar="SECONDS", type=_seconds, nargs="?", const=WATCH_SECONDS, help="redraw until all has ended"
    )
    parser.add_argument("--json", action="store_true", help="print the states as JSON")
    parser.add_argument("--logs", metavar="STAGE[/seed-N]", help="print the end of the newest logs instead")
    parser.add_argument("--lines", metavar="N", type=int, default=LINES, help="lines of each log (default %(default)s)")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value >= 0.5:
        raise argparse.ArgumentTypeError(f"expected seconds, 0.5 or more, got {text!r}")
    return value


def _status(options: argparse.Namespace) -> int:
    run = find_run(options.run, options.results or results_folder())
    from slurm.commands import status_views  # late: a mistyped name is answered before the readers of a run are loaded

    if options.logs is not None:
        return status_views.print_logs(run, options.logs, options.lines)
    if options.watch is not None:
        return status_views.watch(run, options.watch)
    return status_views.print_states(run, as_json=options.json)
