"""Selections in the plan: who waits for whom, with which seeds and data, and what a report is asked to compare."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.rundir.folders import JobKey
from tests.conftest import REPOSITORY

HPMKD = REPOSITORY / "tests/specs/good/hpmkd.yaml"


def plan(*overrides: str, path: Path = HPMKD, tiny: bool = False) -> Plan:
    return plan_pipeline(load_pipeline(str(path), overrides=overrides, tiny=tiny))


def test_a_selection_waits_for_candidates_and_students_in_their_order() -> None:
    (job,) = plan().by_stage()["accepted"]
    assert job.parents == {
        "of_1": JobKey("teacher", 7),
        "of_2": JobKey("assistant", 7),
        "by_1": JobKey("unlearned", 7),
        "by_2": JobKey("assisted", 7),
    }
    assert (job.role, job.needs.gpus, job.spec.to_json()["settings"]) == ("chain", 0, {"minimum_gain": 0.05})


def test_it_has_the_seeds_and_the_data_of_its_students() -> None:
    seeds = [f"stages.{name}.seeds=[1, 2]" for name in ("kd", "assisted")]
    data = [
        f"stages.{name}.data={{name: synthetic, classes: 4, size: 8, train: 164, validation: 90}}"
        for name in ("kd", "assisted")
    ]
    without = ("stages.accepted={kind: report}", "stages.with_chain.teacher=refused", "stages.report={kind: report}")
    jobs = plan(*seeds, *data, "stages.teacher.seeds=[7]", "stages.assistant.seeds=[7]", *without, "seeds=[1, 2]")
    chosen = jobs.by_stage()["refused"]
    assert [job.key.seed for job in chosen] == [1, 2]
    assert chosen[1].parents["of_2"] == JobKey("assistant", 7)
    assert chosen[1].parents["by_2"] == JobKey("assisted", 2)
    assert chosen[0].spec.to_json()["data"]["validation"] == 90


def test_another_threshold_or_another_order_is_another_choice() -> None:
    def fingerprints(*overrides: str) -> dict[str, str]:
        return {job.key.stage: job.fingerprint for job in plan(*overrides).jobs}

    usual = fingerprints()
    stricter = fingerprints("stages.accepted.minimum_gain=0.1")
    turned = fingerprints("stages.refused.of=[teacher, assistant]", "stages.refused.by=[unlearned, assisted]")
    assert {name for name in usual if usual[name] != stricter[name]} == {"accepted", "with_chain", "report"}
    assert usual["refused"] != turned["refused"]


def test_what_a_report_compares_is_in_the_plan_and_in_its_own_fingerprint_only() -> None:
    whole, usual = plan(), plan("stages.report={kind: report}")
    assert msgspec.to_builtins(whole.to_file())["comparisons"] == {"with_gate": ["kd", "all_off"], "with_chain": ["kd"]}
    assert msgspec.to_builtins(usual.to_file())["comparisons"] == {}
    different = [one.key.stage for one, two in zip(whole.jobs, usual.jobs, strict=True) if one != two]
    assert different == ["report"]
