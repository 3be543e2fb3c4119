"""``kd-collect RUN… [-o report.json]``: assemble what one or several runs measured into one report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kd.errors import UserError, run_command
from kd.report.collect import is_complete
from kd.report.table import print_report
from kd.report.write import collect_and_write, pages_folder
from kd.rundir.folders import RunFolder, find_run, results_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 all there, 1 something missing, 2 a mistake."""
    return run_command(lambda: _collect(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kd-collect", description="Assemble the results of runs into one report.")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, or the name of one under the results")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.json", help="default: report.json in the run's folder"
    )
    parser.add_argument(
        "--side-by-side", action="store_true", help="runs of different settings: each by itself, under its run's name"
    )
    parser.add_argument("--results", type=Path, default=results_folder(), metavar="DIR", help="default: %(default)s")
    return parser


def _collect(arguments: argparse.Namespace) -> int:
    runs = [find_run(name, arguments.results).path for name in arguments.runs]
    report_json = _output(arguments.output, runs)
    report = collect_and_write(runs, report_json, side_by_side=arguments.side_by_side)
    print_report(report)
    folder = pages_folder(report_json)
    print(f"{report_json}\n{folder / 'report.html'}\n{folder / 'report.md'}\n{folder / 'summary.csv'}")
    return 0 if is_complete(report) else 1


def _output(asked: Path | None, runs: Sequence[Path]) -> Path:
    if asked is None:
        if len({run.resolve() for run in runs}) > 1:
            raise UserError("several runs make one report: name its file with -o FILE.json")
        return RunFolder(runs[0]).report_json
    if asked.suffix != ".json":
        raise UserError(f"{asked}: the report's name must end in .json (the pages go to a folder named without it)")
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
