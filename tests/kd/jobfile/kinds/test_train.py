"""Stages that go on from a model or export it: who waits for whom, which seeds, what a spec.json says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.rundir.folders import JobKey

LINEAGE = Path(__file__).resolve().parents[3] / "specs/good/lineage.yaml"


@pytest.fixture(params=[False, True], ids=["whole", "tiny"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return plan_pipeline(load_pipeline(str(LINEAGE), tiny=request.param))


def test_each_seed_goes_on_from_its_own_and_the_teacher_stays(plan: Plan) -> None:
    parents = {job.key: job.parents for job in plan.jobs}
    assert parents[JobKey("aware", 2)] == {"teacher": JobKey("teacher", 1), "start": JobKey("pruned", 2)}
    assert parents[JobKey("pruned", 2)] == {"start": JobKey("student", 2)}
    assert parents[JobKey("int8", 2)] == {"of": JobKey("aware", 2)}
    assert parents[JobKey("program", 1)] == {"of": JobKey("student", 1)}


def test_parents_come_before_their_children(plan: Plan) -> None:
    order = [job.key for job in plan.jobs]
    assert all(order.index(parent) < order.index(job.key) for job in plan.jobs for parent in job.parents.values())


def test_settings_say_what_is_done_and_nothing_else() -> None:
    specs = {job.key.stage: job.spec.to_json() for job in plan_pipeline(load_pipeline(str(LINEAGE))).jobs}
    assert specs["pruned"]["settings"]["prune"] == 0.4
    assert specs["aware"]["settings"]["int8_aware"] is True
    assert not {"prune", "int8_aware", "no_decay", "start"} & set(specs["student"]["settings"])  # old fingerprints stay
    assert specs["int8"]["settings"] == {"format": "static_int8", "calibration_batches": 10}
    assert specs["program"]["settings"] == {"format": "pt2"}
    assert specs["int8"]["data"] == specs["aware"]["data"]


def test_an_export_asks_for_no_gpu_unless_it_says_so() -> None:
    needs = {job.key.stage: job.needs for job in plan_pipeline(load_pipeline(str(LINEAGE))).jobs}
    assert needs["int8"].gpus == 0
    assert (needs["program"].gpus, needs["program"].minutes) == (1, 10)


def test_another_share_or_format_is_another_job(tmp_path: Path) -> None:
    text = LINEAGE.read_text(encoding="utf-8")

    def fingerprints(old: str, new: str) -> dict[str, str]:
        path = tmp_path / "job.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return {job.key.stage: job.fingerprint for job in plan_pipeline(load_pipeline(str(path))).jobs}

    plain = fingerprints("", "")
    pruned = fingerprints("prune: 0.4", "prune: 0.5")
    assert {name for name in plain if plain[name] != pruned[name]} == {"pruned", "aware", "int8", "report"}
    exported = fingerprints("calibration_batches: 10", "calibration_batches: 20")
    assert {name for name in plain if plain[name] != exported[name]} == {"int8", "report"}
