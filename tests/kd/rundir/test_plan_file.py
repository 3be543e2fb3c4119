"""plan.json: the job graph, read without the job file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kd.errors import RunError
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.plan_file import read_plan
from tests.kd.report.builder import three_stages


def changed(path: Path, **changes: Any) -> RunFolder:
    run = three_stages(path, [1]).run
    run.plan.write_text(json.dumps({**json.loads(run.plan.read_text()), **changes}))
    return run


def test_the_report_waits_for_all_and_others_for_their_references(tmp_path: Path) -> None:
    plan = read_plan(three_stages(tmp_path / "run", [1, 2]).run)
    waits = {str(job.key): [str(key) for key in plan.parents_of(job)] for job in plan.jobs}
    assert waits["distilled/seed-2"] == ["teacher/seed-2"]
    assert waits["teacher/seed-1"] == []
    assert waits["report"] == [key for key in waits if key != "report"]
    assert plan.jobs[-1].key == JobKey("report", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 9}, r"another version of kd wrote it \(format 9; this one reads 1\)"),
        ({"format": 9, "jobs": {}}, r"another version of kd wrote it \(format 9; this one reads 1\)"),
        ({"jobs": {}}, r"damaged \(Expected `array`, got `object` - at `\$.jobs`\)"),
        ({"jobs": [{"stage": "a"}]}, r"damaged \(Object missing required field `seed` - at `\$.jobs\[0\]`\)"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=rf"plan\.json: {words}$"):
        read_plan(changed(tmp_path / "run", **changes))


def test_reading_a_plan_or_a_result_loads_neither_torch_nor_pydantic() -> None:
    code = "import sys, kd.rundir.plan_file, kd.rundir.stage_result; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "pydantic", "numpy", "yaml"}.isdisjoint(loaded)


@pytest.mark.parametrize(
    "name", ["../../../home", "/home/x", "a/../b", "a//b", "a/.b", "..", "a\n", "\x1b[2J", "é", "x" * 300]
)
def test_names_that_lead_out_make_a_damaged_plan(tmp_path: Path, name: str) -> None:
    jobs = json.loads(changed(tmp_path).plan.read_text())["jobs"]
    for changes in ({"pipeline": name}, {"jobs": [{**jobs[0], "stage": name}]}):
        with pytest.raises(RunError, match="damaged"):
            read_plan(changed(tmp_path, **changes))


def test_odd_names_of_a_plan_can_be_looked_at(tmp_path: Path) -> None:
    job = {"stage": "=cmd|' /C calc'!A0", "seed": 1, "kind": "train", "fingerprint": "f", "parents": {}}
    plan = read_plan(changed(tmp_path, pipeline="p<img src=x>", jobs=[job]))
    assert [plan.pipeline, plan.jobs[0].stage] == ["p<img src=x>", job["stage"]]
