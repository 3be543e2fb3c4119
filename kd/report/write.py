"""Writes a report: report.json and, in the folder named like it, pages, the table as CSV, figures, and the aggregates.

Every file is replaced in one step, so two of these at once, or a reader in between, never meet half a file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from kd.errors import RunError
from kd.files import write_json, write_text
from kd.report.aggregated import write_aggregated
from kd.report.collect import collect
from kd.report.figures.draw import draw_figures
from kd.report.latex import latex_tables
from kd.report.pages import html_page, markdown_page
from kd.report.report_stages import JobRecord, StageSummary
from kd.report.report_value import Report, report_content
from kd.rundir.ownership import linked_entry
from kd.rundir.result_sections import Cost, DeviceCost, MissingJob

ACCURACIES = ("test_accuracy", "test_accuracy_last_epoch", "validation_accuracy")
CSV_COLUMNS = (
    *("pipeline", "run", "stage", "seed", "state", *ACCURACIES, "role", "kind", "model"),
    *("best_epoch", "epochs", "parameters", "seconds", "images_per_second"),
    *("device", "attempts", "job_id", "host", "fingerprint"),
    *("folder", "reason", "test_f1_score", "test_precision", "test_recall", "test_loss"),
    *("calibration_error", "negative_log_likelihood", "measured_in"),
    *("flops", "bytes", "runtime", "latency_p50_seconds", "latency_p95_seconds", "inference_images_per_second"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes

CsvRow: TypeAlias = dict[str, str | int | float | None]


def collect_and_write(runs: Sequence[Path], report_json: Path, *, side_by_side: bool = False) -> Report:
    """Collect run folders, write everything and return the report. Raises RunError as ``collect`` does."""
    report = collect(runs, report_json.parent, side_by_side=side_by_side)
    write_report(report, report_json)
    return report


def pages_folder(report_json: Path) -> Path:
    """Return the folder beside ``x.json`` that takes the pages: ``x``."""
    return report_json.with_suffix("")


def write_report(report: Report, report_json: Path) -> None:
    """Write report.json first, then what a person reads."""
    folder, base = pages_folder(report_json), report_json.parent
    if linked := folder if folder.is_symlink() else folder.is_dir() and linked_entry(folder):
        raise RunError(f"{linked}: a link, through which the report would be written elsewhere; remove it")
    write_json(report_json, report_content(report))
    write_text(folder / "summary.csv", summary_csv(report))
    write_aggregated(report, base, folder / "metrics")
    figures = folder / "figures"
    drawings = {pipeline: draw_figures(pipeline, family, base, figures) for pipeline, family in report.items()}
    write_text(folder / "report.md", markdown_page(report, drawings))
    write_text(folder / "report.html", html_page(report, drawings))
    write_text(folder / "tables.tex", latex_tables(report))


def summary_csv(report: Report) -> str:
    """Return one row per stage and seed, the missing ones too. Accuracies are fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for pipeline, family in report.items():
        for name, stage in family.stages.items():
            shared = _stage_row(pipeline, name, stage)
            done = [_job_row(seed, job) for seed, job in stage.jobs.items()]
            holes = [_hole_row(hole) for hole in family.missing if hole.stage == name]
            writer.writerows(_as_texts({**shared, **row}) for row in done + holes)
    return text.getvalue()


def _as_texts(row: CsvRow) -> CsvRow:
    """Return a row whose texts no spreadsheet takes for formulas: an apostrophe before what begins like one."""
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
        for name, value in row.items()
    }


def _stage_row(pipeline: str, name: str, stage: StageSummary) -> CsvRow:
    return {"pipeline": pipeline, "stage": name, "role": stage.role, "kind": stage.kind, "model": stage.model}


def _job_row(seed: str, job: JobRecord) -> CsvRow:
    accuracies = (job.test.best.accuracy, job.test.last.accuracy, job.validation.best.accuracy)
    return {
        "run": job.run,
        "seed": seed,
        "state": "done",
        **dict(zip(ACCURACIES, accuracies, strict=True)),
        "best_epoch": job.best_epoch,
        "epochs": job.epochs,
        "parameters": job.parameters,
        "seconds": job.seconds.total,
        "images_per_second": job.images_per_second,
        "device": job.device,
        "attempts": job.attempts,
        "job_id": job.job_id,
        "host": job.host,
        "fingerprint": job.fingerprint,
        "folder": job.folder,
        "test_f1_score": job.test.best.f1_score,
        "test_precision": job.test.best.precision,
        "test_recall": job.test.best.recall,
        "test_loss": job.test.best.loss,
        "calibration_error": job.calibration_error,
        "negative_log_likelihood": job.negative_log_likelihood,
        "measured_in": job.measured_in,
        **_cost_columns(job),
    }


def _cost_columns(job: JobRecord) -> CsvRow:
    cost = job.cost or Cost()
    device = cost.cpu or DeviceCost()
    return {
        "flops": cost.flops,
        "bytes": job.file_bytes,
        "runtime": device.runtime,
        "latency_p50_seconds": device.latency.median if device.latency else None,
        "latency_p95_seconds": device.latency.p95 if device.latency else None,
        "inference_images_per_second": device.images_per_second,
    }


def _hole_row(hole: MissingJob) -> CsvRow:
    return {
        "run": hole.run,
        "seed": hole.seed,
        "state": hole.state,
        "reason": hole.reason,
        "folder": hole.folder,
    }
