"""What a terminal shows at the end of a run: a row per stage, then what was found and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kd.errors import printable
from kd.report.collect import HEADLINE, headline_key
from kd.report.formatting import METRICS, count, interval, listed, mean_sd, p_value, percent, points
from kd.report.headline import ONLY
from kd.report.report_value import Family, Report, read_report
from kd.rundir.folders import JobKey, RunFolder

GAP, MARGIN = 3, 1  # characters between two columns, and at the edge
MOST_SENTENCES = 6  # comparisons that are told in words; more of them are a table
LEAST_NEEDED = ("model", "parameters", "last epoch")


def print_summary(run: RunFolder) -> None:
    """Print the report that a run's own report stage left, and where it lies."""
    print_report(read_report(run))
    print(f"{run.report_json}\n{run.report / 'report.md'}\n{run.report / 'report.html'}")


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the report's tables."""
    console = console or Console()
    if len(report) > 1:
        console.print(_overview(report))
    for pipeline, family in report.items():
        console.print(_table(pipeline, family, console.width))
        for line in _remarks(family):
            console.print(Text(printable(line)))
        if len(family.comparisons) > MOST_SENTENCES:
            console.print(_comparisons(family))
        if family.differs:
            differs = f"its settings differ from those of the first run: {'; '.join(family.differs)}"
            console.print(Text(printable(differs)))
        for missing in family.missing:
            job = JobKey(missing.stage, missing.seed).words
            console.print(Text(printable(f"missing: {job}: {missing.state}: {missing.reason}"), "yellow"))


def _overview(report: Report) -> Table:
    """Return a row per family, or per run where they stand side by side, with the three numbers."""
    table = Table(title="side by side: test metric in %", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for name in ("teacher", "without kd", "with kd"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, family in report.items():
        numbers = (getattr(family, headline_key(key, family.metric)) for key, _ in HEADLINE)
        table.add_row(Text(printable(name)), *map(percent, numbers))
    return table


def _remarks(family: Family) -> Iterator[str]:
    yield from (f"remark: {remark}" for remark in family.remarks)
    head = family.headline
    if head.distilled and head.rule != ONLY:
        best = f"best on validation: {head.best_on_validation}"
        yield f"student_accuracy_with_kd is of {head.distilled}: {head.rule}; {best}"
    if len(family.comparisons) <= MOST_SENTENCES:
        yield from (comparison.verdict for comparison in family.comparisons)
    for target in family.expectations:
        measured = f"{interval(target.interval)} %, n = {target.n}"
        yield f"target: {target.stage} {target.wanted}: {target.outcome} ({measured})"


def _comparisons(family: Family) -> Table:
    """Return a row per comparison."""
    table = Table(title="differences in points, paired by seed", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stage − against", overflow="fold")
    for name in ("points", "95 % interval", "p, t test", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for pair in family.comparisons:
        numbers = (points(pair.difference), interval(pair.ci95, points), p_value(pair.p.paired_t_holm), str(pair.n))
        table.add_row(Text(printable(f"{pair.stage} − {pair.against}")), *numbers)
    return table


def _table(pipeline: str, family: Family, width: int) -> Table:
    """Return a row per stage. No number is ever cut: where it is narrow, whole columns stay away, and names fold."""
    seeds = listed(family.seeds)
    metric = METRICS[family.metric]
    title = f"{pipeline}: test {metric} in %, mean ± sd over seeds {seeds}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    columns = {
        "stage": [printable(name) for name in family.stages],
        "model": [printable(stage.model or "") for stage in family.stages.values()],
        "parameters": [count(stage.parameters) for stage in family.stages.values()],
        "n": [f"{stage.n}/{stage.planned}" for stage in family.stages.values()],
        metric: [mean_sd(stage.mean, stage.sd) for stage in family.stages.values()],
        "last epoch": [mean_sd(stage.last_epoch.mean, stage.last_epoch.sd) for stage in family.stages.values()],
    }
    for name in _fitting(columns, width):
        text = name in ("stage", "model")
        table.add_column(
            name,
            justify="left" if text else "right",
            style="bold" if name == metric else "",
            no_wrap=name != "stage",
            overflow="fold",
            min_width=None if name == "stage" else _width(name, columns[name]),
        )
    for row in zip(*(columns[name] for name in _fitting(columns, width)), strict=True):
        table.add_row(*map(Text, row))
    return table


def _fitting(columns: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """Return the columns that fit: the least needed ones go first, and a long stage's name may then fold."""
    names = list(columns)
    for least in LEAST_NEEDED:
        if MARGIN + sum(_width(name, columns[name]) + GAP for name in names) <= width:
            break
        names.remove(least)
    return names


def _width(name: str, cells: Sequence[str]) -> int:
    return max(map(len, (name, *cells)))
