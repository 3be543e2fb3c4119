"""Nothing is trained twice: other runs' finished jobs are taken over, verified, and only when they are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.jobfile.plan import plan_pipeline
from kd.jobfile.stage import Pipeline
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey, RunFolder
from slurm.state.checksum_cache import RememberedDigests
from slurm.submission.lenders import trusted
from slurm.submission.reuse import find_lenders
from tests.kd.conftest import damaged
from tests.slurm.launching import SMALL, Desk, weights
from tests.slurm.made_cluster import profile
from tests.slurm.made_runs import make_run, teacher
from tests.slurm.test_on_slurm import CLUSTER, queued, wait_ended
from tests.testbed import Testbed

TEACHER = JobKey("teacher", 1)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(results=tmp_path)


def local(desk: Desk, run: str, *options: str) -> str:
    return desk.submit("--executor", "local", "--seeds", "1", "--run", run, *options)


def test_a_second_pipeline_takes_the_first_ones_teacher(desk: Desk) -> None:
    local(desk, "first")
    said = local(desk, "second", "--set", "stages.distilled.loss={ce: 0.1, kd: {weight: 0.9, temperature: 2}}")
    assert "teacher/seed-1: taken from run first, which finished it" in said
    assert "baseline/seed-1: taken from run first" in said
    assert "teacher/seed-1: started" not in said
    assert "distilled/seed-1: started" in said
    assert desk.report("second")["missing"] == []
    assert weights(desk.folder("second"), (1,))["teacher/1"] == weights(desk.folder("first"), (1,))["teacher/1"]


def test_a_lenders_damaged_weights_are_not_taken(desk: Desk) -> None:
    local(desk, "first", "--only", "teacher")
    with open(desk.folder("first").stage(TEACHER).checkpoint / "last.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    said = local(desk, "second", "--only", "teacher")
    assert "teacher/seed-1: started" in said
    assert not desk.folder("second").stage(TEACHER).path.is_symlink()


def test_again_trains_in_spite_of_a_lender(desk: Desk) -> None:
    local(desk, "first", "--only", "teacher")
    local(desk, "second", "--only", "teacher")
    said = local(desk, "second", "--only", "teacher", "--again")
    assert "teacher/seed-1: started" in said
    assert read_object(desk.folder("first").stage(TEACHER).result) is not None, "the lender keeps what it has"


def test_a_deleted_lender_means_training_here(desk: Desk) -> None:
    local(desk, "first", "--only", "teacher")
    local(desk, "second", "--only", "teacher")
    desk.folder("first").path.rename(desk.results.parent / f"{desk.results.name}-gone")
    said = local(desk, "second", "--only", "teacher")
    assert "teacher/seed-1: started" in said
    assert damaged(desk.folder("second").stage(TEACHER)) == []


@pytest.mark.slurm
def test_four_pipelines_submitted_at_once_train_one_teacher_once(testbed: Testbed, desk: Desk) -> None:
    person = Desk(results=desk.results, environment=testbed.environment)
    names = [f"pipeline-{number}" for number in range(4)]
    started = [
        person.start(
            "kd-submit",
            str(SMALL),
            *CLUSTER,
            "--run",
            name,
            "--seeds",
            "1",
            "--set",
            f"stages.distilled.optimizer.lr=0.0{number + 1}",
        )
        for number, name in enumerate(names)
    ]
    said = "".join(process.communicate(timeout=400)[0] for process in started)
    assert [process.returncode for process in started] == [0] * 4, said
    for name in names:
        wait_ended(testbed, name)
        assert person.report(name)["missing"] == []
        assert queued(testbed, name) == []
    trained = [name for name in names if not person.folder(name).stage(TEACHER).path.is_symlink()]
    assert len(trained) == 1, said
    assert len({weights(person.folder(name), (1,))["teacher/1"] for name in names}) == 1


def test_stages_that_differ_in_name_alone_all_take_a_finished_twin(tmp_path: Path) -> None:
    lender = make_run(tmp_path, (1,), name="lender")
    lender.finish(teacher(1))
    training = {"model": "resnet8", "epochs": 10, "optimizer": {"name": "sgd", "lr": 0.1}}
    stages = {name: {"kind": "train", **training} for name in ("first", "second")}
    data = {"name": "synthetic", "validation": 10}
    plan = plan_pipeline(Pipeline.model_validate({"pipeline": "p", "data": data, "seeds": [1], "stages": stages}))
    run = RunFolder(lender.run.path.parent / "borrower")
    wanted = [job.key for job in plan.jobs]
    digests = RememberedDigests(run.digests)
    lending = find_lenders(run, plan, wanted, profile("gpu"), digests, trusted())
    assert [found.key for found in lending.found] == wanted
