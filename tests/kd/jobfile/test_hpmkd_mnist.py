"""jobs/hpmkd_mnist.yaml: the arms differ in what they are named for, and in nothing else; budgets are as it says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from kd.catalog import load
from kd.jobfile.kinds.search import SearchStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, PlannedJob, plan_pipeline
from kd.jobfile.stage import Pipeline
from kd.search.halving import rungs, total_epochs
from tests.conftest import REPOSITORY

STUDENTS = {
    "direct", "kd", "kd_equal_epochs", "kd_tuned", "takd", "fitnets", "assisted_1", "assisted_2",
    "hpmkd.whole", "hpmkd.without_search", "hpmkd.without_chain", "hpmkd.without_gate", "hpmkd.without_temperature",
    "hpmkd.without_cache",
}  # fmt: skip
# what each arm says otherwise than hpmkd
TAKEN_AWAY = {
    "hpmkd.without_search": {"configuration"},
    "hpmkd.without_chain": {"teacher"},
    "hpmkd.without_gate": {"teacher", "weighting"},
    "hpmkd.without_temperature": {"temperature", "loss"},  # the loss then has a temperature of its own
    "hpmkd.without_cache": {"teacher"},
}


@pytest.fixture(scope="module")
def job() -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KD_DATA", "/data")
        return load_pipeline(str(REPOSITORY / "jobs/hpmkd_mnist.yaml"))


@pytest.fixture(scope="module")
def plan(job: Pipeline) -> Plan:
    return plan_pipeline(job)


def written(job: Pipeline, name: str) -> dict[str, Any]:
    """Return what a stage says, its place in the report and what is drawn of it aside."""
    return job.stages[name].model_dump(exclude={"role", "about", "draw"})


@pytest.mark.parametrize("arm", TAKEN_AWAY)
def test_an_arm_lacks_one_component_and_is_else_the_same(job: Pipeline, arm: str) -> None:
    whole, without = written(job, "hpmkd.whole"), written(job, arm)
    assert {key for key in whole if whole[key] != without[key]} == TAKEN_AWAY[arm]


def test_all_students_are_one_network_trained_in_one_way(job: Pipeline) -> None:
    student = job.stages["direct"]
    assert isinstance(student, TrainStage)
    same_network = {name for name, stage in job.stages.items() if getattr(stage, "model", None) == student.model}
    assert same_network == STUDENTS
    longer = {}
    for name in STUDENTS:
        stage = job.stages[name]
        assert isinstance(stage, TrainStage)
        longer |= {} if stage.epochs == student.epochs else {name: stage.epochs}
        for key in ("batch_size", "optimizer", "schedule", "augment", "data", "precision"):
            assert getattr(stage, key) == getattr(student, key), f"{name}: {key}"
    assert list(longer) == ["kd_equal_epochs"]


def test_equal_epochs_are_all_that_hpmkd_takes_but_the_teacher(job: Pipeline, plan: Plan) -> None:
    first = {planned.key.stage: planned for planned in reversed(plan.jobs)}

    def ancestors(planned: PlannedJob) -> set[str]:
        parents = {key.stage for key in planned.parents.values()}
        return parents.union(*(ancestors(first[parent]) for parent in parents))

    def epochs(name: str) -> int:
        stage = job.stages[name]
        if isinstance(stage, SearchStage):
            return total_epochs(rungs(stage.trials, stage.epochs))
        return stage.epochs if isinstance(stage, TrainStage) else 0

    spent = sum(epochs(name) for name in ancestors(first["hpmkd.whole"]) - {"teacher"}) + epochs("hpmkd.whole")
    assert spent == epochs("kd_equal_epochs")


def test_the_baseline_may_search_as_long_and_as_widely(job: Pipeline) -> None:
    ours, theirs = job.stages["hpmkd_search"], job.stages["kd_search"]
    assert isinstance(ours, SearchStage)
    assert isinstance(theirs, SearchStage)
    assert (ours.trials, ours.epochs) == (theirs.trials, theirs.epochs)
    assert set(ours.space) <= set(theirs.space)


def test_assistants_shrink_from_the_teacher_to_the_student_in_equal_ratios(job: Pipeline) -> None:
    def parameters(name: str) -> int:
        stage = job.stages[name]
        assert isinstance(stage, TrainStage)
        network = load("model", stage.model.name)(10, 1, 28, **stage.model.arguments)
        return sum(parameter.numel() for parameter in network.parameters())

    sizes = [parameters(name) for name in ("teacher", "assistant_1", "assistant_2", "kd")]
    step = (sizes[-1] / sizes[0]) ** (1 / 3)
    assert [small / large for large, small in pairwise(sizes)] == pytest.approx([step] * 3, rel=0.05)
    assert parameters("halfway") == pytest.approx((sizes[0] * sizes[-1]) ** 0.5, rel=0.03)


def test_it_is_the_protocol_of_the_plan(plan: Plan) -> None:
    jobs = plan.by_stage()
    assert {name: len(planned) for name, planned in jobs.items() if name != "report"} == dict.fromkeys(
        (name for name in jobs if name != "report"), 5
    )
    settings = jobs["hpmkd.whole"][0].spec.to_json()["settings"]
    assert (settings["epochs"], settings["batch_size"]) == (20, 128)
    assert settings["optimizer"]["arguments"]["weight_decay"] == 5e-4
    assert settings["schedule"] == {"name": "cosine", "arguments": {"warmup": 0.0, "final": 0.01}}
    assert jobs["hpmkd.whole"][0].spec.to_json()["data"]["validation"] == 5000


def test_every_arm_meets_hpmkd_in_the_report(plan: Plan) -> None:
    assert set(plan.comparisons["hpmkd.whole"]) == STUDENTS - {"hpmkd.whole", "assisted_1", "assisted_2"}
