"""Reports of images with several labels: compared by macro F1, with a table of the labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd.report.write import collect_and_write
from tests.kd.report.builder import RunBuilder, three_stages


def measured(f1_score: float, fire: float) -> dict[str, Any]:
    """Return what a result of two labels says of the metric and of the test part."""
    scores = {"precision": 0.7, "recall": 0.6, "f1_score": fire, "average_precision": 0.81}
    best = {
        "accuracy": 0.95, "precision": 0.7, "recall": 0.6, "f1_score": f1_score, "loss": 0.2, "hamming_loss": 0.05,
        "subset_accuracy": 0.9, "average_precision": None, "labels": {"fire": scores, "smoke": scores},
    }  # fmt: skip
    return {"metric": "f1_score", "test": {"best": best, "last": best}, "validation": {"best": best, "last": best}}


@pytest.fixture
def run(tmp_path: Path) -> RunBuilder:
    run = three_stages(tmp_path / "run", [1, 2], pipeline="frames")
    for stage, f1_scores in {"teacher": (0.91, 0.93), "baseline": (0.80, 0.82), "distilled": (0.85, 0.86)}.items():
        for seed, f1_score in zip((1, 2), f1_scores, strict=True):
            run.finish(stage, {seed: 0.5}, **measured(f1_score, 0.755 + seed / 100))
    return run


def test_stages_are_compared_by_macro_f1_and_the_accuracies_stay_accuracies(run: RunBuilder) -> None:
    collect_and_write([run.run.path], run.run.report_json)
    family = json.loads(run.run.report_json.read_text())["frames"]
    assert list(family)[:6] == [
        "teacher_accuracy", "student_accuracy_without_kd", "student_accuracy_with_kd",
        "teacher_f1_score", "student_f1_score_without_kd", "student_f1_score_with_kd",
    ]  # fmt: skip
    assert family["metric"] == "f1_score"
    assert family["teacher_accuracy"] == 0.95
    assert family["student_f1_score_with_kd"] == pytest.approx(0.855)
    assert family["comparisons"][0]["difference"] == pytest.approx(0.045)
    distilled = family["stages"]["distilled"]
    assert distilled["mean"] == pytest.approx(0.855)
    assert distilled["test_half_width"] is None
    assert distilled["several_labels"]["labels"]["fire"]["f1_score"] == pytest.approx(0.77)
    assert distilled["several_labels"]["average_precision"] is None


def test_the_pages_say_macro_f1_and_show_every_label(run: RunBuilder) -> None:
    collect_and_write([run.run.path], run.run.report_json)
    for name in ("report.md", "report.html"):
        text = (run.run.report / name).read_text(encoding="utf-8")
        for expected in ("macro F1", "85.50", "smoke", "77.00, 81.00", "subset accuracy"):
            assert expected in text, (name, expected)
    assert (run.run.report / "figures/frames_f1_score.svg").is_file()
