"""What is said when a run's name already means another plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kd.errors import RunError
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.rundir.folders import RunFolder
from slurm.submission.plan_difference import changed_jobs, refuse_other_plan

SMALL = Path(__file__).resolve().parents[2] / "jobs" / "small.yaml"


def plan(*overrides: str) -> Plan:
    return plan_pipeline(load_pipeline(str(SMALL), overrides=overrides))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder as the small job leaves it, before anything has run."""
    folder = RunFolder(tmp_path / "run")
    for job in plan().jobs:
        folder.stage(job.key).path.mkdir(parents=True)
        write_json(folder.stage(job.key).spec, job.spec.to_json())
    write_json(folder.plan, msgspec.to_builtins(plan().to_file()))
    return folder


def test_the_same_plan_is_welcome(run: RunFolder) -> None:
    assert changed_jobs(run, plan()) == []
    refuse_other_plan(run, plan())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.baseline.epochs=9", "(baseline: epochs was 2, is 9)"),
        ("stages.teacher.model.width=9", "(teacher: model.arguments.width was 8, is 9)"),
        ("stages.distilled.loss.kd.temperature=2", "(distilled: loss.kd.arguments.temperature was 4.0, is 2.0)"),
        ("stages.baseline.clip=1", "(baseline: clip was nothing, is 1.0)"),
    ],
)
def test_what_differs_is_named_where_it_does(run: RunFolder, override: str, words: str) -> None:
    """A changed teacher's students differ too, but that goes without saying."""
    with pytest.raises(RunError) as caught:
        refuse_other_plan(run, plan(override))
    assert words in str(caught.value)


def test_many_differences_are_counted(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"\(baseline: .*, \d+ more\)"):
        refuse_other_plan(
            run, plan("stages.baseline.optimizer={name: adamw, lr: 1}", "stages.baseline.augment={crop: 1, flip: true}")
        )


def test_other_images_under_the_same_name_are_said_to_be(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kd.jobfile.plan.data_identity", lambda root: "others")
    with pytest.raises(RunError, match=r"teacher: the content of its data set, or kd itself, has changed"):
        refuse_other_plan(run, plan())
