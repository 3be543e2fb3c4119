"""What a run folder holds before anything is sent, and that a kill while it is made does no harm."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.jobfile.stage import Pipeline
from kd.rundir.folders import RunFolder
from slurm.cluster.profile import Profile
from slurm.state.planned_jobs import read_jobs
from slurm.submission import run_folder
from slurm.submission.executors import EXECUTORS, Executor
from slurm.submission.run_folder import Launch, freeze_code, open_run, provenance, write_run
from tests.slurm.made_runs import REPORT, plan_of, student, teacher


def pipeline() -> Pipeline:
    training = {"model": "resnet8", "epochs": 10, "optimizer": {"name": "sgd", "lr": 0.1}}
    stages = {"teacher": {"kind": "train", **training}, "report": {"kind": "report"}}
    data = {"name": "synthetic", "validation": 10}
    return Pipeline.model_validate({"pipeline": "test", "data": data, "seeds": [1], "stages": stages})


def write(run: RunFolder, *seeds: int, executor: Executor = EXECUTORS["slurm"]) -> RunFolder:
    launch = Launch(executor=executor, cluster="markov", profile=Profile(scratch=["$TMPDIR"], max_restarts=7))
    write_run(run, pipeline(), plan_of(seeds), launch, ["kd-submit", "x.yaml"])
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "trial")


def test_every_planned_job_has_its_spec_before_the_plan_is_there(run: RunFolder) -> None:
    write(run, 1, 2)
    keys = [planned.key for planned in read_jobs(run)]
    assert keys == [teacher(1), teacher(2), student(1), student(2), REPORT]
    for planned in plan_of([1, 2]).jobs:
        folder = run.stage(planned.key)
        assert json.loads(folder.spec.read_text())["fingerprint"] == planned.fingerprint
        assert folder.log.is_dir()
    assert run.plan.stat().st_mtime_ns >= max(run.stage(key).spec.stat().st_mtime_ns for key in keys)


@pytest.mark.parametrize(("name", "scratch"), [("slurm", ["$TMPDIR"]), ("local", [])])
def test_jobs_learn_where_they_run(run: RunFolder, name: str, scratch: list[str]) -> None:
    launch = json.loads(write(run, 1, executor=EXECUTORS[name]).launch.read_text())
    assert (launch["executor"], launch["cluster"], launch["scratch"]) == (name, "markov", scratch)
    assert launch["max_restarts"] == 7


def test_a_run_that_grows_keeps_its_earlier_seeds(run: RunFolder) -> None:
    write(run, 1)
    write(run, 2)
    assert {planned.key for planned in read_jobs(run)} == {teacher(1), teacher(2), student(1), student(2), REPORT}
    assert json.loads(run.plan.read_text())["seeds"] == [1, 2]
    write(run, 1)
    assert [planned.key for planned in read_jobs(run)] == [teacher(1), teacher(2), student(1), student(2), REPORT]


def test_the_code_of_a_run_is_frozen(run: RunFolder) -> None:
    freeze_code(run.code)
    with zipfile.ZipFile(run.code) as archive:
        names = set(archive.namelist())
    assert {"kd/run.py", "slurm/job/payload.py", "slurm/submission/run_folder.py"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_the_frozen_code_holds_code_only(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "checkout"
    for name in ("kd/code.py", "kd/.env", "kd/.hidden/code.py", "kd/notes.txt", "slurm/submission/run_folder.py"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("x")
    (packages / "kd/link.py").symlink_to(packages / "kd/notes.txt")
    (packages / "kd/linked").symlink_to(packages / "slurm")
    monkeypatch.setattr(run_folder, "__file__", str(packages / "slurm/submission/run_folder.py"))
    freeze_code(run.code)
    with zipfile.ZipFile(run.code) as archive:
        assert archive.namelist() == ["kd/code.py", "slurm/submission/run_folder.py"]
    assert run.code.stat().st_mode & 0o777 == 0o600, "what was never committed is not for everybody"


def test_provenance_is_for_the_owner_alone(run: RunFolder) -> None:
    write(run, 1)
    assert run.provenance.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["x" * 300, "a\n", "../a", ".", ""])
def test_a_name_that_is_no_name_of_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a run's name"):
        open_run(tmp_path, name)


def test_another_runs_stage_folder_is_not_written_to(run: RunFolder, tmp_path: Path) -> None:
    lender = write(RunFolder(tmp_path / "lender"), 1).stage(teacher(1))
    before = lender.spec.stat().st_mtime_ns
    folder = run.stage(teacher(1)).path
    folder.parent.mkdir(parents=True)
    folder.symlink_to(os.path.relpath(lender.path, folder.parent))
    write(run, 1)
    assert lender.spec.stat().st_mtime_ns == before
    assert run.stage(student(1)).spec.is_file()


def test_provenance_names_command_commit_and_versions_and_no_environment(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hidden-value")
    found = provenance(["kd-submit", "x.yaml"])
    assert found["command"] == ["kd-submit", "x.yaml"]
    assert {"commit", "uncommitted", "user", "host", "python", "versions"} <= set(found)
    assert "hidden-value" not in json.dumps({**found, "uncommitted": ""})


@pytest.mark.parametrize("name", ["a b", "../up", "", "née", "x\n"])
def test_a_name_that_slurm_could_not_write_logs_for_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError):
        open_run(tmp_path, name)


@pytest.mark.parametrize("folder", ["with%j", "two\nlines", "back\\slash"])
def test_a_results_folder_that_breaks_log_patterns_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(RunError, match="may not contain"):
        open_run(tmp_path / folder, "trial")


def test_a_run_that_was_cut_short_before_its_plan_says_so(run: RunFolder) -> None:
    write(run, 1)
    run.plan.unlink()
    with pytest.raises(RunError, match="interrupted before it had planned this run; run it again"):
        read_jobs(run)
    write(run, 1)
    assert len(read_jobs(run)) == 3
