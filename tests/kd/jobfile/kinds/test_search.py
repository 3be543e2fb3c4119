"""Planning of searches: what they wait for, what they train with, and which change makes whom train again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kd.jobfile import tiny
from kd.jobfile.kinds.search import SearchStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.search_space import searchable
from kd.jobfile.stage import Pipeline

GOOD = str(Path(__file__).resolve().parents[3] / "specs/good/search.yaml")
FaultsOf = Callable[..., Sequence[str]]


def plan(*overrides: str) -> Plan:
    return plan_pipeline(load_pipeline(GOOD, overrides=overrides))


def fingerprints(*overrides: str) -> dict[str, str]:
    return {name: jobs[0].fingerprint for name, jobs in plan(*overrides).by_stage().items()}


def test_a_search_waits_for_the_teachers_of_its_stage_and_its_stage_for_the_search() -> None:
    stages = plan().by_stage()
    parents = {name: {key: str(parent) for key, parent in jobs[0].parents.items()} for name, jobs in stages.items()}
    assert parents["baseline_search"] == {}
    assert parents["baseline"] == {"configuration": "baseline_search/seed-1"}
    assert parents["kd_search"] == {"teacher": "teacher/seed-1", "memory_1": "baseline_search/seed-1"}
    assert parents["kd"] == {"teacher": "teacher/seed-1", "configuration": "kd_search/seed-1"}
    assert [str(job.key) for job in stages["cooling_search"]] == ["cooling_search/seed-2"]
    assert all(str(job.parents["configuration"]) == "cooling_search/seed-2" for job in stages["cooling"])


def test_its_spec_says_all_that_its_trials_need() -> None:
    stages = plan().by_stage()
    search, stage = stages["kd_search"][0], stages["kd"][0]
    settings = search.spec.to_json()["settings"]
    assert settings["training"] == stage.spec.to_json()["settings"]
    assert (settings["for"], settings["kind"], settings["trials"], settings["epochs"]) == ("kd", "distill", 8, 3)
    assert settings["space"]["loss.kd.temperature"] == {"choices": [2.0, 4.0, 6.0, 8.0]}
    assert settings["space"]["loss.kd.weight"]["partner"] == "loss.ce.weight"
    assert search.spec.to_json()["data"] == stage.spec.to_json()["data"]
    assert (search.role, search.needs.gpus) == (None, 0)


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("stages.kd_search.trials=9", {"kd_search", "kd", "cooling_search", "cooling", "report"}),
        ("stages.kd.batch_size=64", {"kd_search", "kd", "cooling_search", "cooling", "report"}),
        ("stages.cooling_search.memory=kd_search", {"cooling_search", "cooling", "report"}),
        ("stages.kd.checkpoint_every=3", set()),
    ],
)
def test_what_may_change_a_choice_changes_the_fingerprints_of_who_uses_it(override: str, changed: set[str]) -> None:
    before, after = fingerprints(), fingerprints(override)
    assert {name for name in before if before[name] != after[name]} == changed


def test_losses_catalogued_arguments_and_weights_may_be_searched_and_nothing_else() -> None:
    cooling = load_pipeline(GOOD).stages["cooling"]
    assert isinstance(cooling, TrainStage)
    assert sorted(searchable(cooling)) == [
        "loss.ce.label_smoothing", "loss.ce.weight", "loss.kd.standardise", "loss.kd.weight",
        "optimizer.lr", "optimizer.momentum", "optimizer.nesterov", "optimizer.weight_decay",
        "schedule.every", "schedule.gamma", "schedule.warmup", "temperature.end", "temperature.start",
    ]  # fmt: skip


def test_weights_that_need_not_share_one_have_no_partner() -> None:
    search = plan("stages.kd.free_weights=true").by_stage()["kd_search"][0]
    assert "partner" not in search.spec.to_json()["settings"]["space"]["loss.kd.weight"]


def test_whole_numbers_take_whole_bounds(faults_of: FaultsOf) -> None:
    text = Path(GOOD).read_text(encoding="utf-8").replace("{low: 1, high: 4}", "{low: 0.5, high: 4}")
    (line,) = faults_of(text=text)
    assert line.endswith("low: expected a whole number of at least 1, got 0.5")


def test_a_tiny_search_keeps_its_space_and_tries_little() -> None:
    job: Pipeline = load_pipeline(GOOD, tiny=True)
    search, whole = job.stages["kd_search"], load_pipeline(GOOD).stages["kd_search"]
    assert isinstance(search, SearchStage)
    assert isinstance(whole, SearchStage)
    assert (search.trials, search.epochs) == (tiny.TRIALS, tiny.EPOCHS)
    assert search.space == whole.space
    assert search.seeds == [1, 2]
