"""Searches in the report: what they found and cost, apart from what was measured, and counted in comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd.files import write_json
from kd.report.collect import collect
from kd.report.pages import html_page, markdown_page
from kd.rundir.folders import JobKey
from tests.kd.report.builder import RunBuilder, collected, identity, three_stages, training_settings

FOUND = {"stage": "its_search", "seed": 1, "epochs": 14, "values": {"optimizer.lr": 0.02}}


def with_search(path: Path) -> RunBuilder:
    """Return a finished run of one seed whose distilled stage had a search."""
    run = three_stages(path, [1]).finish("teacher", {1: 0.9}).finish("baseline", {1: 0.8})
    run.finish("distilled", {1: 0.85}, configuration=FOUND)
    settings = {
        "for": "distilled", "kind": "distill", "training": training_settings("resnet8", 3), "trials": 4, "epochs": 3,
        "space": {},
    }  # fmt: skip
    run.stage("its_search", None, [1], settings=settings, kind="search")
    run.jobs[JobKey("distilled", 1)]["parents"]["configuration"] = {"stage": "its_search", "seed": 1}
    return run.write_plan()


def finish_search(run: RunBuilder) -> dict[str, Any]:
    default = {
        "number": 1,
        "epochs": 3,
        "configuration": {"optimizer.lr": 0.1},
        "score": 0.7,
        "loss": 1.0,
        "seconds": 3.0,
    }
    best = {
        **default,
        "number": 4,
        "configuration": {"optimizer.lr": 0.02, "optimizer.nesterov": True},
        "score": 0.75,
    }
    result = {
        **identity(run.jobs[JobKey("its_search", 1)]),
        "best": best,
        "default": default,
        "trials": [default, best],
        "remembered": 10,
        "metric": "accuracy",
        "epochs": 14,
        "seconds": {"total": 1800.0},
    }
    write_json(run.folder("its_search", 1).result, result)
    return result


def test_a_search_is_listed_apart_with_what_it_found_and_cost(tmp_path: Path) -> None:
    run = with_search(tmp_path / "run")
    result = finish_search(run)
    family = collected([run.run.path], tmp_path)["cnn"]
    assert "its_search" not in family["stages"]
    assert family["missing"] == []
    search = family["searches"]["its_search"]
    assert (search["for"], search["n"], search["planned"], search["epochs"]) == ("distilled", 1, 1, 14)
    assert search["gpu_hours"] == pytest.approx(0.5)
    job = search["jobs"]["1"]
    assert (job["default_score"], job["validation_score"], job["remembered"]) == (0.7, 0.75, 10)
    assert job["trials"] == result["trials"]
    assert family["stages"]["distilled"]["jobs"]["1"]["configuration"] == FOUND


def test_pages_show_the_searches(tmp_path: Path) -> None:
    run = with_search(tmp_path / "run")
    finish_search(run)
    report = collect([run.run.path], tmp_path)
    for page in (markdown_page(report, {"cnn": []}), html_page(report, {"cnn": []})):
        assert "optimizer.lr = 0.02, optimizer.nesterov = true" in page
        assert "70.00" in page
        assert "75.00" in page


def test_the_epochs_of_trials_count_for_the_arm_they_were_for(tmp_path: Path) -> None:
    run = with_search(tmp_path / "run")
    run.jobs[JobKey("distilled", 1)]["parents"]["configuration"] = {"stage": "its_search", "seed": 1}
    finish_search(run.write_plan())
    family = collected([run.run.path], tmp_path)["cnn"]
    assert family["stages"]["distilled"]["preparation"] == {"its_search": 14}
    (pair,) = family["comparisons"]
    assert pair["notes"] == ["with all that was trained for them, 17 epochs against 3"]


def test_a_search_that_failed_is_named(tmp_path: Path) -> None:
    run = with_search(tmp_path / "run").fail("its_search", 1, "every trial diverged")
    family = collected([run.run.path], tmp_path)["cnn"]
    assert [(hole["stage"], hole["reason"]) for hole in family["missing"]] == [("its_search", "every trial diverged")]
    assert family["searches"]["its_search"]["n"] == 0
