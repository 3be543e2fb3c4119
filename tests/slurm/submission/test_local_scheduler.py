"""The local executor: the graph is honoured, a failure stops its own descendants only, and nothing is done twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey
from kd.rundir.stage_result import read_result
from tests.slurm.launching import SMALL, Desk, kill, training_process, wait_until, weights

LONG = ("--set", "stages.teacher.epochs=200")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The final weights of an undisturbed run."""
    desk = Desk(results=tmp_path_factory.mktemp("reference"))
    desk.submit("--executor", "local")
    return weights(desk.folder())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(results=tmp_path)


def test_every_stage_finishes_and_the_report_has_the_three_numbers(desk: Desk, reference: dict[str, str]) -> None:
    said = desk.submit("--executor", "local", "--jobs", "2")
    assert weights(desk.folder()) == reference
    report = desk.report()
    assert list(report)[:3] == ["teacher_accuracy", "student_accuracy_without_kd", "student_accuracy_with_kd"]
    assert all(0 <= report[name] <= 1 for name in list(report)[:3])
    assert report["missing"] == []
    for seed in (1, 2):
        done, begun = said.index(f"teacher/seed-{seed}: done"), said.index(f"distilled/seed-{seed}: started")
        assert done < begun, "a student starts after its own teacher"
    assert str(desk.folder().report_json) in said
    assert {job["phase"] for job in desk.status()} == {"done"}


def test_the_debug_executor_gives_the_same_weights_in_process(desk: Desk, reference: dict[str, str]) -> None:
    desk.submit("--executor", "debug")
    assert weights(desk.folder()) == reference
    assert desk.report()["missing"] == []


def test_a_second_submission_finds_everything_done(desk: Desk) -> None:
    desk.submit("--executor", "local", "--only", "baseline")
    said = desk.submit("--executor", "local", "--only", "baseline")
    assert "done already: baseline/seed-1, baseline/seed-2" in said
    assert "nothing to submit" in said
    assert "started" not in said


def test_a_failing_seed_stops_its_own_descendants_only_and_is_explained(desk: Desk, reference: dict[str, str]) -> None:
    broken = desk.folder().stage(JobKey("teacher", 2)).checkpoint
    broken.parent.mkdir(parents=True)
    broken.write_text("a file where a folder must be")

    said = desk.submit("--executor", "local", code=1)

    assert "teacher/seed-2: failed" in said
    assert "distilled/seed-2: not run, teacher/seed-2 failed" in said
    assert set(weights(desk.folder())) == {"teacher/1", "baseline/1", "baseline/2", "distilled/1"}
    missing = {(hole["stage"], hole["seed"]): hole["reason"] for hole in desk.report()["missing"]}
    assert set(missing) == {("teacher", 2), ("distilled", 2)}
    assert "teacher seed 2" in missing["distilled", 2]
    why = {(job["stage"], job["seed"]): job["why"] for job in desk.status(code=1)}
    assert "teacher seed 2" in why["distilled", 2]
    assert why["teacher", 1] == ""

    broken.unlink()
    again = desk.submit("--executor", "local")
    assert "teacher/seed-1: started" not in again, "what is done stays done"
    assert weights(desk.folder()) == reference
    assert desk.report()["missing"] == []


def test_a_killed_training_is_reported_and_continued_to_the_same_weights(desk: Desk) -> None:
    undisturbed = Desk(results=desk.results / "undisturbed")
    undisturbed.results.mkdir()
    undisturbed.submit("--executor", "local", "--only", "teacher", "--seeds", "1", *LONG)

    run = ("--executor", "local", "--only", "teacher", "--seeds", "1", *LONG)
    process = desk.start("kd-submit", str(SMALL), *run)
    folder = desk.folder().stage(JobKey("teacher", 1))
    wait_until(lambda: (folder.checkpoint / "resume.pt").is_file(), "a checkpoint")
    training = training_process(folder.path)
    assert training is not None
    kill(training)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "teacher/seed-1: failed" in output

    desk.submit(*run)
    assert weights(desk.folder(), (1,)) == weights(undisturbed.folder(), (1,))
    result = read_object(folder.result)
    assert result is not None
    assert result["attempts"] == 2


def test_ctrl_c_stops_the_children_and_leaves_a_run_that_continues(desk: Desk) -> None:
    run = ("--executor", "local", "--only", "teacher", "--seeds", "1", *LONG)
    process = desk.start("kd-submit", str(SMALL), *run)
    folder = desk.folder().stage(JobKey("teacher", 1))
    wait_until(folder.progress.is_file, "a heartbeat")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "the same command continues the run" in output
    assert training_process(folder.path) is None, "no child is left"
    assert read_object(folder.result) is None

    desk.submit(*run)
    result = read_object(folder.result)
    assert result is not None
    assert result["attempts"] == 2


def test_children_of_a_killed_kd_submit_are_waited_for_and_the_rest_is_run(desk: Desk) -> None:
    run = ("--executor", "local", "--only", "distilled", "--seeds", "1", "--set", "stages.teacher.epochs=60")
    process = desk.start("kd-submit", str(SMALL), *run)
    folder = desk.folder().stage(JobKey("teacher", 1))
    wait_until(folder.progress.is_file, "a heartbeat")
    process.kill()
    process.wait(timeout=300)
    assert training_process(folder.path) is not None, "the child lives on"
    said = desk.submit(*run)
    process.communicate(timeout=300)
    assert "waiting for what an interrupted kd-submit left running: teacher/seed-1" in said
    assert "distilled/seed-1: done" in said
    result = read_result(folder)
    assert result is not None
    assert result.attempts == result.job.attempt == 1


def test_two_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    first = desk.start("kd-submit", str(SMALL), "--executor", "local", "--only", "baseline")
    wait_until(desk.folder().lock.exists, "the lock")
    said = desk.submit("--executor", "local", "--only", "baseline", code=2)
    assert "another kd-submit is at work on this run" in said
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output


def test_a_run_name_cannot_mean_two_plans(desk: Desk) -> None:
    desk.submit("--executor", "local", "--only", "baseline", "--seeds", "1")
    said = desk.submit("--executor", "local", "--set", "stages.baseline.epochs=1", "--seeds", "1", code=2)
    assert "holds another plan (baseline: epochs was 2, is 1)" in said
    again = desk.submit(
        "--executor", "local", "--only", "baseline", "--set", "stages.baseline.epochs=1", "--seeds", "1", "--again"
    )
    assert "baseline/seed-1: done" in again
    assert len(list(desk.folder().path.glob("replaced/*/baseline/seed-1/result.json"))) == 1, "nothing is deleted"


def test_missing_data_is_answered_before_anything_is_written(desk: Desk) -> None:
    said = desk.submit(
        "--executor", "local", "--set", "data={name: mnist, root: /no/such/place, validation: 10}", code=2
    )
    assert "/no/such/place does not exist" in said
    assert list(desk.results.iterdir()) == []
