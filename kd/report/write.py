"""Writes a report: report.json and, in the folder named like it, pages, the table as CSV, figures, and the aggregates.

Every file is replaced in one step, so two of these at once, or a reader in between, never meet half a file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd.files import write_json, write_text
from kd.report.aggregated import write_aggregated
from kd.report.collect import collect
from kd.report.figures import draw_figures
from kd.report.pages import html_page, markdown_page

STAGE_COLUMNS = ("role", "kind", "model")
JOB_COLUMNS = (
    "best_epoch",
    "epochs",
    "parameters",
    "seconds",
    "images_per_second",
    "device",
    "attempts",
    "job_id",
    "host",
    "fingerprint",
)
ACCURACIES = ("test_accuracy", "test_accuracy_last_epoch", "validation_accuracy")
CSV_COLUMNS = (
    *("pipeline", "run", "stage", "seed", "state", *ACCURACIES, *STAGE_COLUMNS, *JOB_COLUMNS),
    *("folder", "reason", "test_f1_score"),
)


def collect_and_write(runs: Sequence[Path], report_json: Path) -> dict[str, Any]:
    """Collect run folders, write everything and return the report. Raises RunError as ``collect`` does."""
    report = collect(runs, report_json.parent)
    write_report(report, report_json)
    return report


def pages_folder(report_json: Path) -> Path:
    """Return the folder beside ``x.json`` that takes the pages: ``x``."""
    return report_json.with_suffix("")


def write_report(report: dict[str, Any], report_json: Path) -> None:
    """Write report.json first, then what a person reads."""
    folder, base = pages_folder(report_json), report_json.parent
    write_json(report_json, report)
    write_text(folder / "summary.csv", summary_csv(report))
    write_aggregated(report, base, folder / "metrics")
    figures = folder / "figures"
    drawings = {pipeline: draw_figures(pipeline, family, base, figures) for pipeline, family in report.items()}
    write_text(folder / "report.md", markdown_page(report, drawings))
    write_text(folder / "report.html", html_page(report, drawings))


def summary_csv(report: Mapping[str, Any]) -> str:
    """Return one row per stage and seed, the missing ones too. Accuracies are fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for pipeline, family in report.items():
        for name, stage in family["stages"].items():
            shared = {"pipeline": pipeline, "stage": name, **{key: stage[key] for key in STAGE_COLUMNS}}
            holes = [_hole_row(hole) for hole in family["missing"] if hole["stage"] == name]
            done = [_job_row(seed, job) for seed, job in stage["jobs"].items()]
            writer.writerows({**shared, **row} for row in done + holes)
    return text.getvalue()


def _job_row(seed: str, job: Mapping[str, Any]) -> dict[str, Any]:
    accuracies = (job["test"]["best"], job["test"]["last"], job["validation"]["best"])
    return {
        **{key: job[key] for key in ("run", "folder", *JOB_COLUMNS)},
        **{name: measured["accuracy"] for name, measured in zip(ACCURACIES, accuracies, strict=True)},
        "test_f1_score": job["test"]["best"]["f1_score"],
        "seconds": job["seconds"].get("total"),
        "seed": seed,
        "state": "done",
    }


def _hole_row(hole: Mapping[str, Any]) -> dict[str, Any]:
    return {key: hole[key] for key in ("run", "seed", "state", "reason", "folder")}
