"""Searches through the launcher: their edges in a dry run, and a whole run of them in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey
from slurm.commands.submit import main
from tests.conftest import REPOSITORY
from tests.slurm.launching import Desk

JOB = REPOSITORY / "tests/specs/good/search.yaml"


def test_a_dry_run_shows_who_waits_for_a_search(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ("--cluster", "markov", "--results", str(tmp_path), "--dry-run", "--json")
    assert main([str(JOB), "--set", "resources.gpus=1", *options]) == 0
    requests = {request["request"]: request["script"] for request in json.loads(capsys.readouterr().out)["requests"]}
    found = {name: re.findall("--dependency='(.*)'", script) for name, script in requests.items()}
    assert found["baseline_search"] == []
    assert found["baseline"] == ["aftercorr:<baseline_search>"]
    assert found["kd_search"] == ["afterok:<teacher>_0:<baseline_search>_0"]
    assert found["kd-2"] == ["afterok:<teacher>_1:<kd_search-2>"]
    assert found["cooling_search"] == ["afterok:<teacher>_1:<baseline_search>_1:<kd_search-2>"]
    assert found["cooling"] == ["afterok:<teacher>_0:<cooling_search>"]


def test_a_run_with_searches_on_digits_ends_in_a_report(tmp_path: Path) -> None:
    desk = Desk(results=tmp_path)
    smaller = {f"stages.{stage}.epochs": 3 for stage in ("baseline", "kd", "cooling")} | {"stages.teacher.epochs": 1}
    smaller |= {f"stages.{stage}_search.trials": 3 for stage in ("baseline", "kd", "cooling")}
    changes = [text for key, value in smaller.items() for text in ("--set", f"{key}={value}")]
    desk.submit("--executor", "debug", "--seeds", "2", *changes, job=JOB)
    run = desk.folder("search")

    def result(stage: str) -> dict[str, Any]:
        found = read_object(run.stage(JobKey(stage, 2)).result)
        assert found is not None
        return found

    assert result("kd")["configuration"]["values"] == result("kd_search")["best"]["configuration"]
    assert [result(stage)["remembered"] for stage in ("baseline_search", "kd_search", "cooling_search")] == [0, 5, 10]
    family = desk.report("search")
    assert family["missing"] == []
    assert list(family["searches"]) == ["baseline_search", "kd_search", "cooling_search"]
    assert family["stages"]["kd"]["preparation"] == {"baseline_search": 9, "kd_search": 9}
    assert {job["phase"] for job in desk.status("search")} == {"done"}
