"""HPM-KD's components: switched off they leave plain distillation, bit for bit; switched on, each changes the training.

The pipeline is tests/specs/good/hpmkd.yaml, planned and run whole.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.run import run_stage
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.stages.context import in_place
from tests.conftest import REPOSITORY
from tests.kd.conftest import result_of
from tests.kd.stages.training.test_fit_stage import outcome

SEED = 7
COMPONENTS = ("with_search", "with_chain", "with_gate", "with_temperature")


def run_whole(plan: Plan, path: Path) -> dict[str, Any]:
    """Run a plan stage by stage in this process and return what its report says of the pipeline."""
    folder = RunFolder(path)
    write_json(folder.plan, {**msgspec.to_builtins(plan.to_file()), "run": folder.name})
    for job in plan.jobs:
        stage = folder.stage(job.key)
        write_json(stage.spec, job.spec.to_json())
        run_stage(in_place(stage, parents={name: folder.stage(key).path for name, key in job.parents.items()}))
    family: dict[str, Any] = json.loads(folder.report_json.read_text())[plan.pipeline]
    assert not family["missing"]
    return family


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run folder of the whole pipeline."""
    folder = RunFolder(tmp_path_factory.mktemp("hpmkd"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KD_THREADS", "1")
        run_whole(plan_pipeline(load_pipeline(str(REPOSITORY / "tests/specs/good/hpmkd.yaml"))), folder.path)
    return folder


@pytest.fixture
def stage(pipeline: RunFolder):
    def of(name: str) -> StageFolder:
        return pipeline.stage(JobKey(name, SEED))

    return of


def losses(folder: StageFolder) -> list[str]:
    with open(folder.metrics, newline="", encoding="utf-8") as file:
        return [row["train_loss"] for row in csv.DictReader(file)]


@pytest.mark.cpu  # equal bits without `deterministic`
def test_with_all_components_off_it_is_plain_distillation_bit_for_bit(stage) -> None:
    assert result_of(stage("refused"))["selection"]["chosen"] == "teacher"
    assert result_of(stage("search_of_one"))["trials"][0]["configuration"] == {"optimizer.lr": 0.005}
    assert outcome(stage("all_off")) == outcome(stage("kd"))


@pytest.mark.cpu  # equal bits without `deterministic`
def test_a_cache_without_augmentation_is_the_teacher_bit_for_bit(stage) -> None:
    assert outcome(stage("with_cache")) == outcome(stage("kd"))
    assert result_of(stage("with_cache"))["teacher"]["cache"]["stage"] == "refused_views"


def test_each_component_changes_the_training(stage) -> None:
    assert result_of(stage("accepted"))["selection"]["chosen"] == "assistant"
    assert result_of(stage("search"))["best"]["configuration"] == {"optimizer.lr": 0.2}
    traces = [losses(stage(name)) for name in ("kd", *COMPONENTS)]
    assert len({tuple(trace) for trace in traces}) == len(traces)
    assert losses(stage("augmented")) != losses(stage("augmented_with_cache"))


def test_the_gate_and_the_chain_are_told_in_the_results(stage) -> None:
    assert 1 <= result_of(stage("with_gate"))["gate"]["teachers_used"] <= 2
    assert [each["stage"] for each in result_of(stage("with_gate"))["teachers"]] == ["refused", "second"]


def test_the_report_compares_what_the_job_file_asks_for(pipeline: RunFolder) -> None:
    family = json.loads(pipeline.report_json.read_text())["hpmkd"]
    pairs = [(pair["stage"], pair["against"]) for pair in family["comparisons"]]
    assert pairs == [("with_gate", "kd"), ("with_gate", "all_off"), ("with_chain", "kd")]
    assert family["stages"]["with_chain"]["preparation"] == {"assistant": 2, "unlearned": 1, "assisted": 8}
    assert family["comparisons"][2]["notes"] == ["with all that was trained for them, 13 epochs against 2"]
    accepted, assistant = (family["stages"][name] for name in ("accepted", "assistant"))
    assert accepted["epochs"] is None
    assert accepted["jobs"]["7"]["selection"]["chosen"] == "assistant"
    for page in ("report.md", "report.html"):
        assert " needed)" in (pipeline.report / page).read_text()
    assert (accepted["mean"], accepted["parameters"]) == (assistant["mean"], assistant["parameters"])
