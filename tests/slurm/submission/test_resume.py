"""Submitting a run again sends what is missing, once: after failures, cancellations and damage, beside live jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.errors import ClusterError, RunError
from kd.rundir.folders import JobKey
from slurm.commands.cancel import main as kd_cancel
from slurm.state.job_status import JobStatus, snapshot
from slurm.submission.executors import EXECUTORS
from slurm.submission.resume import locked
from tests.slurm.made_runs import REPORT, MadeRun, make_run, student, teacher
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import kd_submit, starting_point

__all__ = ["slurm"]

JOBS = (teacher(1), teacher(2), student(1), student(2), REPORT)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    return make_run(tmp_path)


def states(made: MadeRun) -> dict[JobKey, JobStatus]:
    return {state.key: state for state in snapshot(made.run, EXECUTORS)}


def complete(made: MadeRun, slurm: MakeBelieveSlurm, ids: dict[JobKey, str], *keys: JobKey) -> None:
    """Let jobs write their results and end."""
    for key in keys:
        made.finish(key, job_id=ids[key])
        slurm.set_state(ids[key], "COMPLETED")


def test_the_first_submission_starts_from_nothing(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    start = starting_point(made)
    assert (start.pending, start.finished, dict(start.live), start.attempt) == (JOBS, (), {}, 1)
    assert list(start.lines()) == []


def test_while_all_jobs_are_alive_nothing_is_submitted(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    slurm.set_state(ids[teacher(1)], "RUNNING")
    start = starting_point(made)
    assert (start.pending, dict(start.live)) == ((), ids)
    assert "nothing to submit" in start.lines()
    assert kd_submit(made) == {}
    assert set(slurm.alive()) == set(ids.values())


def test_a_failed_seed_is_sent_again_with_all_that_waited_for_it(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    complete(made, slurm, ids, teacher(1))
    made.fail(teacher(2), "no data", job_id=ids[teacher(2)])
    slurm.set_state(ids[teacher(2)], "FAILED")
    slurm.set_state(ids[student(1)], "RUNNING")
    again = kd_submit(made)
    assert set(again) == {teacher(2), student(2), REPORT}
    assert slurm.jobs[ids[student(1)]]["state"] == "RUNNING", "a running job keeps its inputs"
    for key in (student(2), REPORT):
        assert slurm.jobs[ids[key]]["state"] == "CANCELLED", f"{key} waited for what will never come"
    assert slurm.jobs[again[student(2)]]["dependency"] == f"afterok:{again[teacher(2)]}"
    waits_for = slurm.jobs[again[REPORT]]["dependency"].partition(":")[2].split(":")
    assert set(waits_for) == {again[teacher(2)], again[student(2)], ids[student(1)].partition("_")[0]}


def test_half_an_array_is_sent_again_as_a_single_job(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    complete(made, slurm, ids, teacher(1), teacher(2), student(1))
    slurm.set_state(ids[student(2)], "TIMEOUT", purged=True)  # only accounting knows it
    again = kd_submit(made)
    assert set(again) == {student(2), REPORT}
    assert slurm.jobs[again[student(2)]] | {"array": None, "dependency": None} == slurm.jobs[again[student(2)]]
    assert slurm.jobs[again[REPORT]]["dependency"] == f"afterany:{again[student(2)]}"


def test_a_child_of_a_running_parent_waits_for_the_running_job(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    slurm.set_state(ids[teacher(1)], "RUNNING")
    slurm.set_state(ids[student(1)], "CANCELLED")
    again = kd_submit(made)
    assert set(again) == {student(1), REPORT}
    assert slurm.jobs[again[student(1)]]["dependency"] == f"afterok:{ids[teacher(1)]}"


def test_what_kd_cancel_took_back_is_sent_again(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    complete(made, slurm, ids, teacher(1), teacher(2))
    assert kd_cancel([made.run.name]) == 0
    assert slurm.alive() == {}
    assert set(kd_submit(made)) == {student(1), student(2), REPORT}


def test_changed_weights_are_trained_again_and_named(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = kd_submit(made)
    complete(made, slurm, ids, *JOBS)
    made.finish(teacher(1), job_id=ids[teacher(1)], files={"checkpoint/last.safetensors": "0" * 64})
    start = starting_point(made)
    assert start.pending == (teacher(1), REPORT)
    assert "teacher/seed-1: checkpoint/last.safetensors changed since it finished; it is trained again" in start.lines()


def test_a_silent_slurm_stops_the_submission_before_anything_is_sent(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    kd_submit(made)
    slurm.break_call("squeue", 2)
    with pytest.raises(ClusterError, match="squeue does not answer"):
        kd_submit(made)
    assert len(slurm.calls("sbatch")) == 3


class TestAReportMadeAnew:
    """Its old result says done, while the queue has it once more: the queue must not be hidden."""

    @pytest.fixture
    def ids(self, made: MadeRun, slurm: MakeBelieveSlurm) -> dict[JobKey, str]:
        """A finished run whose second seed is trained once more, so that the report is made once more too."""
        ids = kd_submit(made)
        complete(made, slurm, ids, *JOBS)
        made.run.stage(student(2)).result.unlink()
        again = kd_submit(made)
        assert set(again) == {student(2), REPORT}
        return again

    def test_it_is_shown_as_queued(self, made: MadeRun, ids: dict[JobKey, str]) -> None:
        report = states(made)[REPORT]
        assert (report.phase, report.alive, report.anew, report.job_id) == ("queued", True, True, ids[REPORT])
        assert report.why == "made anew; waits for 1 of 4 jobs to end"

    def test_submitting_again_sends_no_second_one(self, made: MadeRun, ids: dict[JobKey, str]) -> None:
        assert kd_submit(made) == {}

    def test_kd_cancel_finds_it(self, made: MadeRun, slurm: MakeBelieveSlurm, ids: dict[JobKey, str]) -> None:
        assert kd_cancel([made.run.name]) == 0
        assert slurm.alive() == {}
        assert states(made)[REPORT].why == "made anew; cancelled: run kd-submit again to go on"
        assert set(kd_submit(made)) == {student(2), REPORT}

    def test_its_new_result_is_done(self, made: MadeRun, slurm: MakeBelieveSlurm, ids: dict[JobKey, str]) -> None:
        complete(made, slurm, ids, student(2), REPORT)
        assert {state.phase for state in states(made).values()} == {"done"}
        assert starting_point(made).pending == ()

    def test_when_it_fails_it_is_sent_once_more(
        self, made: MadeRun, slurm: MakeBelieveSlurm, ids: dict[JobKey, str]
    ) -> None:
        complete(made, slurm, ids, student(2))
        slurm.set_state(ids[REPORT], "OUT_OF_MEMORY")
        assert states(made)[REPORT].phase == "failed"
        assert set(kd_submit(made)) == {REPORT}


class TestATakenOverJob:
    """This run's folder of the job is a link to the lender's, and the lender's journal has its submission."""

    @pytest.fixture
    def lender(self, tmp_path: Path, made: MadeRun, slurm: MakeBelieveSlurm) -> MadeRun:
        other = make_run(tmp_path, name="lender")
        ids = kd_submit(other)
        slurm.set_state(ids[teacher(1)], "RUNNING")
        folder = made.run.stage(teacher(1)).path
        folder.parent.mkdir(parents=True)
        folder.symlink_to(os.path.relpath(other.run.stage(teacher(1)).path, folder.parent))
        other.run.stage(teacher(1)).path.mkdir(parents=True, exist_ok=True)
        return other

    def test_it_is_shown_where_it_is(self, made: MadeRun, lender: MadeRun) -> None:
        state = states(made)[teacher(1)]
        job_id = lender.journal.newest()[teacher(1)].job_id
        assert (state.phase, state.lender, state.job_id) == ("running", "lender", job_id)
        assert state.why == f"in run lender as job {job_id}"
        lender.beat(teacher(1))
        assert states(made)[teacher(1)].epoch == 3

    def test_it_is_the_lenders_to_cancel(
        self, made: MadeRun, lender: MadeRun, slurm: MakeBelieveSlurm, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = slurm.alive()
        assert kd_cancel([made.run.name]) == 0
        assert "teacher/seed-1 (running) is job 101_0 of run lender; kd-cancel it there" in capsys.readouterr().out
        assert slurm.alive() == before

    def test_its_result_is_done_in_both(self, made: MadeRun, lender: MadeRun) -> None:
        lender.finish(teacher(1))
        assert states(made)[teacher(1)].phase == states(lender)[teacher(1)].phase == "done"


def test_one_submission_at_a_time(made: MadeRun) -> None:
    with locked(made.run), pytest.raises(RunError, match="another kd-submit is at work on this run"), locked(made.run):
        pass
