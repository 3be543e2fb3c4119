"""The report as a stage of its own run."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from kd.rundir.result_sections import JobFacts
from kd.rundir.stage_spec import spec_from_json
from kd.stages.context import in_place
from kd.stages.report import run as run_report
from tests.kd.conftest import make_spec
from tests.kd.report.builder import three_stages


def test_the_stage_reports_its_own_run_and_does_not_miss_itself(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}).fail("baseline", 1, "no data")
    folder = run.folder("report", None)
    folder.path.mkdir(parents=True)
    spec = {**make_spec("report", kind="report"), "seed": None, "data": None, "settings": {}, "role": None}
    result = run_report(in_place(folder, facts=JobFacts(job_id="9")), spec_from_json(spec))

    family = json.loads(run.run.report_json.read_text())["cnn"]
    assert family["teacher_accuracy"] == 0.9
    assert [hole["stage"] for hole in family["missing"]] == ["baseline", "distilled"]
    assert msgspec.to_builtins(result.missing) == family["missing"]
    assert (result.kind, result.fingerprint, result.files) == ("report", "report-1", {})
    assert result.job.job_id == "9"
    assert (run.run.report / "report.html").is_file()
