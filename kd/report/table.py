"""What a terminal shows at the end of a run: a row per stage, then what was found and what is missing."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kd.errors import printable
from kd.report.formatting import METRICS, count, listed, mean_sd
from kd.report.report_value import Family, Report, read_report
from kd.rundir.folders import JobKey, RunFolder


def print_summary(run: RunFolder) -> None:
    """Print the report that a run's own report stage left, and where it lies."""
    print_report(read_report(run))
    print(f"{run.report_json}\n{run.report / 'report.md'}\n{run.report / 'report.html'}")


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the report's tables."""
    console = console or Console()
    for pipeline, family in report.items():
        console.print(_table(pipeline, family))
        for comparison in family.comparisons:
            console.print(Text(printable(comparison.verdict)))
        for missing in family.missing:
            job = JobKey(missing.stage, missing.seed).words
            console.print(Text(printable(f"missing: {job}: {missing.state}: {missing.reason}"), "yellow"))


def _table(pipeline: str, family: Family) -> Table:
    seeds = listed(family.seeds)
    metric = METRICS[family.metric]
    title = f"{pipeline}: test {metric} in %, mean ± sd over seeds {seeds}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("stage", "model"):
        table.add_column(name, no_wrap=True)
    for name in ("parameters", "n", metric, "last epoch"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, stage in family.stages.items():
        table.add_row(
            Text(printable(name)),
            Text(printable(stage.model or "")),
            count(stage.parameters),
            f"{stage.n}/{stage.planned}",
            Text(mean_sd(stage.mean, stage.sd), "bold"),
            mean_sd(stage.last_epoch.mean, stage.last_epoch.sd),
        )
    return table
