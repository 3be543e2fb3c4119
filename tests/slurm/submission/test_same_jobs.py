"""Stages of one plan that differ in name alone are trained once; every command names the one that is trained."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.rundir.folders import JobKey, RunFolder
from slurm.commands.cancel import main as kd_cancel
from slurm.state.job_status import JobStatus, snapshot
from slurm.submission.chosen_jobs import set_aside
from slurm.submission.executors import EXECUTORS
from slurm.submission.resume import find_starting_point
from tests.slurm.launching import SMALL, Desk
from tests.slurm.made_runs import MadeRun
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import kd_submit, order_of, starting_point

__all__ = ["slurm"]
FIRST, SECOND, CHILD, REPORT = JobKey("teacher", 1), JobKey("twin", 1), JobKey("distilled", 1), JobKey("report", None)
ONCE = "twin/seed-1: the same as teacher/seed-1, which is trained once for both"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """small.yaml with the teacher under a second name, and a student of that."""
    content = yaml.safe_load(SMALL.read_text())
    stages = content["stages"]
    stages["distilled"]["teacher"] = "twin"
    del stages["baseline"]
    content["stages"] = {"teacher": stages["teacher"], "twin": {**stages["teacher"], "role": "assistant"}, **stages}
    target = tmp_path / "twins.yaml"
    target.write_text(yaml.safe_dump({**content, "seeds": [1]}, sort_keys=False))
    return target


@pytest.fixture
def made(job_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    plan = plan_pipeline(load_pipeline(str(job_file)))
    run = RunFolder(tmp_path / "results" / "twins")
    write_json(run.plan, msgspec.to_builtins(plan.to_file()))
    run.code.write_bytes(b"the frozen code")
    return MadeRun(run, plan)


def states(made: MadeRun) -> dict[JobKey, JobStatus]:
    return {state.key: state for state in snapshot(made.run, EXECUTORS)}


def test_the_second_is_not_sent_and_its_student_waits_for_the_first(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    assert ONCE in starting_point(made).lines()
    ids = kd_submit(made)
    assert set(ids) == {FIRST, CHILD, REPORT}
    assert slurm.jobs[ids[CHILD]]["dependency"] == f"afterok:{ids[FIRST]}"
    assert kd_submit(made) == {}, "the second counts as sent"
    second = states(made)[SECOND]
    assert (second.phase, second.job_id, second.same_as) == ("queued", ids[FIRST], FIRST)
    assert second.why.startswith("the same as teacher/seed-1")


def test_when_the_first_has_failed_it_is_sent_again_for_both(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    slurm.set_state(ids[FIRST], "TIMEOUT")
    assert {key: state.phase for key, state in states(made).items() if key != REPORT} == {
        FIRST: "failed",
        SECOND: "failed",
        CHILD: "failed",
    }
    again = kd_submit(made)
    assert set(again) == {FIRST, CHILD, REPORT}
    assert slurm.jobs[again[CHILD]]["dependency"] == f"afterok:{again[FIRST]}"


def test_a_result_under_the_other_name_is_taken_over_too(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    made.finish(SECOND)  # by --only, before the first was asked for
    start = starting_point(made)
    assert "teacher/seed-1: the same as twin/seed-1, which is trained once for both" in start.lines()
    assert set(kd_submit(made)) == {CHILD, REPORT}
    assert states(made)[FIRST].phase == "done"


def test_redoing_the_second_alone_trains_it_itself(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    made.finish(FIRST)
    kd_submit(made)
    again = order_of(made, "twin", again=True)
    set_aside(again)
    start = find_starting_point(again)
    assert start.pending == (SECOND, CHILD, REPORT)
    assert start.plan.parents_of(made.plan.by_stage()["distilled"][0]) == (SECOND,)


def test_cancelling_the_first_cancels_what_needs_the_second(
    made: MadeRun, slurm: MakeBelieveSlurm, capsys: Capture
) -> None:
    ids = kd_submit(made)
    assert kd_cancel(["twins", "twin"]) == 0
    said = capsys.readouterr().out
    assert "not cancelled: twin/seed-1 is teacher/seed-1 too; kd-cancel twins teacher/seed-1 ends both" in said
    assert set(slurm.alive()) == {ids[FIRST], ids[REPORT]}
    kd_submit(made)
    assert kd_cancel(["twins", "teacher"]) == 0
    said = capsys.readouterr().out
    assert "cancelled distilled/seed-1" in said
    assert "with it twin/seed-1, which is the same job as teacher/seed-1" in said
    assert {states(made)[key].phase for key in (FIRST, SECOND, CHILD)} == {"stopped"}


def test_every_stage_of_a_local_run_has_its_result_and_one_training(job_file: Path, tmp_path: Path) -> None:
    desk = Desk(results=tmp_path)
    local = (str(job_file), "--executor", "local", "--run", "twins")
    preview = desk.run("kd-submit", *local[:1], "--cluster", "generic", "--run", "twins", "--dry-run")
    assert ONCE in preview
    assert "--dependency='afterok:<teacher>'" in preview
    said = desk.run("kd-submit", *local)
    assert ONCE in said
    assert "twin/seed-1: started" not in said
    run = desk.folder("twins")
    assert run.stage(SECOND).path.resolve() == run.stage(FIRST).path
    (row,) = (job for job in desk.status("twins") if job["job"] == "twin/seed-1")
    assert (row["phase"], row["why"]) == ("done", "the same as teacher/seed-1")
    report = desk.report("twins")
    assert report["missing"] == []
    assert report["stages"]["twin"]["values"] == report["stages"]["teacher"]["values"]
    assert report["stages"]["twin"]["jobs"]["1"]["same_as"] == "teacher/seed-1"
    assert "nothing to submit" in desk.run("kd-submit", *local)
