"""report.md and report.html from the report value. The HTML stands alone: styles and figures are in it."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import quote

from kd.report import formatting
from kd.report.cells import seed_name, utc
from kd.report.collect import HEADLINE, headline_key
from kd.report.figures.draw import Drawing
from kd.report.figures.style import colour
from kd.report.headline import ONLY
from kd.report.report_stages import StageSummary
from kd.report.report_value import Family, Report, RunRecord
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.result_sections import MissingJob

LABELS = {  # how the three headline numbers are called on a page
    "teacher_accuracy": "Teacher",
    "student_accuracy_without_kd": "Student without distillation",
    "student_accuracy_with_kd": "Student with distillation",
}


class HeadlineNumber(NamedTuple):
    """One of the three numbers, the stage it comes from (None when the plan has no such role), and its colour."""

    label: str
    value: float | None
    stage: StageSummary | None
    colour: str
    name: str | None = None
    note: str = ""


def markdown_page(report: Report, drawings: Mapping[str, Sequence[Drawing]]) -> str:
    """Return report.md; figures are linked as ``figures/<name>.png``."""
    return _render("report.md", report, drawings, escape=False)


def html_page(report: Report, drawings: Mapping[str, Sequence[Drawing]]) -> str:
    """Return report.html, with every figure embedded. Everything from a run's files is escaped."""
    return _render("report.html", report, drawings, escape=True)


def _render(template: str, report: Report, drawings: Mapping[str, Sequence[Drawing]], escape: bool) -> str:
    from jinja2 import Environment, StrictUndefined

    # The template is read as a package resource, so that a zipped copy of the code renders it too.
    source = files("kd.report").joinpath("templates", f"{template}.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=escape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(_filters())
    context = {
        "mean_sd": formatting.mean_sd,
        "interval": formatting.interval,
        "parameters": formatting.parameters,
        "points": formatting.points,
        "DASH": formatting.DASH,
        "METRICS": formatting.METRICS,
    }
    return environment.from_string(source).render(
        report=report,
        drawings=drawings,
        headlines={pipeline: _headline(family) for pipeline, family in report.items()},
        seeds={pipeline: _seeds(family) for pipeline, family in report.items()},
        missing={pipeline: _missing(family) for pipeline, family in report.items()},
        latest=_latest(report),
        **context,
    )


def _filters() -> dict[str, Callable[..., object]]:
    """Return the functions that the templates write values with, by the name they go by there."""
    return {
        "percent": formatting.percent,
        "points": formatting.points,
        "plain": formatting.plain,
        "p_value": formatting.p_value,
        "duration": formatting.duration,
        "megabytes": formatting.megabytes,
        "gigaflops": formatting.gigaflops,
        "milliseconds": formatting.milliseconds,
        "times": formatting.times,
        "count": formatting.count,
        "listed": formatting.listed,
        "assignments": formatting.assignments,
        "steps": formatting.steps,
        "utc": utc,
        "link": _link,
        "again": _again,
        "cell": _cell,
        "job_in_words": lambda hole: JobKey(hole.stage, hole.seed).words,
        "facts": _facts,
        "data_uri": _data_uri,
        "colour": colour,
    }


def _headline(family: Family) -> list[HeadlineNumber]:
    """Return the three numbers with the stage that each comes from (None when there is no such stage)."""
    numbers, names = [], list(family.stages)
    for key, entry in HEADLINE:
        name: str | None = getattr(family.headline, entry)
        numbers.append(
            HeadlineNumber(
                label=LABELS[key],
                value=getattr(family, headline_key(key, family.metric)),
                stage=family.stages[name] if name else None,
                colour=colour(names.index(name)) if name else colour(-1),
                name=name,
                note=_note(family) if entry == "distilled" and name else "",
            )
        )
    return numbers


def _note(family: Family) -> str:
    """Return how the headline's distilled stage was chosen, and which one is best on validation images."""
    best, rule = family.headline.best_on_validation, family.headline.rule
    if rule == ONLY or best is None:
        return ""
    if best == family.headline.distilled:
        return f"{rule}; also the best on validation"
    stage = family.stages[best]
    return f"{rule}; best on validation: {best}, {formatting.mean_sd(stage.mean, stage.sd)} on test"


def _seeds(family: Family) -> list[str]:
    return [seed_name(seed) for seed in family.seeds]


def _missing(family: Family) -> dict[tuple[str, str], MissingJob]:
    """Return what is missing by stage and seed, to fill the holes of the per-seed table."""
    return {(hole.stage, seed_name(hole.seed)): hole for hole in family.missing}


def _latest(report: Report) -> float | None:
    """Return when the newest result finished. Pages carry no time of their own: same results, same page."""
    jobs = [job for family in report.values() for stage in family.stages.values() for job in stage.jobs.values()]
    return max((job.finished for job in jobs), default=None)


def _link(folder: str, file: str = "") -> str:
    """Return the relative URL, seen from the page, of a file of a folder that report.json names."""
    return quote(normpath(f"../{folder}/{file}") + ("" if file else "/"))


def _again(run: RunRecord) -> str:
    """Return the command that carries a run out once more; its path is seen from where report.json lies."""
    return f"kd-submit {shlex.quote(str(RunFolder(Path(run.folder)).job_file))} --run {shlex.quote(f'{run.run}-again')}"


def _cell(value: object) -> str:
    """Return text that cannot break out of a Markdown table's cell, nor be read as HTML, a link or an image."""
    text = re.sub(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]", " ", str(value)).replace("<", "&lt;")
    return re.sub(r"[|`\\]", r"\\\g<0>", re.sub(r"\](?=[(\[:])", "&#93;", text))


def _facts(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as dotted names and texts."""
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _facts(item, f"{prefix}{name}.")
        elif name == "time" and isinstance(item, float):
            yield f"{prefix}{name}", utc(item)
        elif item not in (None, "", []):
            yield f"{prefix}{name}", " ".join(map(str, item)) if isinstance(item, list) else str(item)


def _data_uri(drawing: Drawing) -> str:
    return f"data:image/svg+xml;base64,{b64encode(drawing.svg.read_bytes()).decode()}"
