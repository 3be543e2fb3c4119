"""tables.tex: results and deployment as LaTeX tables to paste into a paper. They need the package booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kd.report.formatting import (
    DASH,
    METRICS,
    MINUS,
    count,
    gigaflops,
    interval,
    mean_sd,
    megabytes,
    milliseconds,
    percent,
    points,
    times,
)
from kd.report.report_value import Family, Report

# what LaTeX would read as a command, and the signs that reports write
SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        "×": r"$\times$",
        MINUS: "$-$",
        DASH: "--",
        "\n": " ",
    }
)
RESULTS = (
    "stage",
    "model",
    "parameters",
    "n",
    "{metric}, %",
    "95 % interval",
    "last epoch",
    "precision",
    "recall",
    "F1",
)
DEPLOYMENT = ("stage", "{metric}, %", "drop", "GFLOP", "MB", "ratio", "latency, ms", "p95", "images/s", "speed-up")


def latex_tables(report: Report) -> str:
    """Return the tables of all pipelines; texts out of a run are escaped."""
    parts = ["% results of kd; needs \\usepackage{booktabs}\n"]
    for pipeline, family in report.items():
        metric = METRICS[family.metric]
        seeds = "mean and standard deviation over the seeds"
        parts.append(_table(f"{pipeline}: test {metric}, {seeds}", RESULTS, list(_results(family)), metric))
        if family.deployment:
            runtimes = "; ".join(dict.fromkeys(row.runtime for row in family.deployment if row.runtime))
            caption = f"{pipeline}: what each model costs. Runtimes: {runtimes or DASH}"
            parts.append(_table(caption, DEPLOYMENT, list(_deployment(family)), metric))
    return "\n".join(parts)


def _results(family: Family) -> Iterator[Sequence[str]]:
    for name, stage in family.stages.items():
        three = (stage.precision, stage.recall, stage.f1_score)
        yield (
            name,
            stage.model or DASH,
            count(stage.parameters),
            f"{stage.n}/{stage.planned}",
            mean_sd(stage.mean, stage.sd),
            interval(stage.ci95),
            mean_sd(stage.last_epoch.mean, stage.last_epoch.sd),
            *(percent(score.mean) if score else DASH for score in three),
        )


def _deployment(family: Family) -> Iterator[Sequence[str]]:
    for row in family.deployment:
        yield (
            row.stage,
            percent(family.stages[row.stage].mean),
            points(row.accuracy_drop),
            gigaflops(row.flops),
            megabytes(row.bytes),
            times(row.compression),
            milliseconds(row.latency_median),
            milliseconds(row.latency_p95),
            count(row.images_per_second),
            times(row.speed_up),
        )


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], metric: str) -> str:
    lines = [
        r"\begin{table}",
        rf"\caption{{{cell(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        _row([name.format(metric=metric) for name in columns]),
        r"\midrule",
        *map(_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(cell, cells)) + r" \\"


def cell(text: str) -> str:
    """Return text that LaTeX sets as it is, whatever stands in it."""
    return text.translate(SPECIAL)
