"""--only and --again: what is made, what is redone, and what is left as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kd.errors import SpecError
from kd.rundir.folders import JobKey
from slurm.submission.chosen_jobs import chosen_jobs, set_aside
from slurm.submission.placed_requests import placed_requests
from slurm.submission.resume import find_starting_point, preview_starting_point
from tests.slurm.made_runs import REPORT, FakeSlurm, MadeRun, fake_slurm, make_run, plan_of, student, teacher
from tests.slurm.resubmitting import order_of

__all__ = ["fake_slurm"]

PLAN = plan_of((1, 2))


@pytest.fixture
def finished(tmp_path: Path, fake_slurm: FakeSlurm) -> MadeRun:
    """A run of two seeds in which everything is done."""
    made = make_run(tmp_path)
    for job in made.plan.jobs:
        made.finish(job.key)
    return made


def test_a_named_stage_brings_what_it_needs() -> None:
    chosen, redone = chosen_jobs(PLAN, ["student"], again=False)
    assert chosen == {teacher(1), teacher(2), student(1), student(2)}
    assert not redone


def test_again_redoes_the_named_stage_and_what_depends_on_it_alone() -> None:
    chosen, redone = chosen_jobs(PLAN, ["student"], again=True)
    assert redone == {student(1), student(2), REPORT}
    assert chosen == redone | {teacher(1), teacher(2)}
    assert chosen_jobs(PLAN, [], again=True)[1] == {job.key for job in PLAN.jobs}


def test_a_name_of_no_stage_is_refused() -> None:
    with pytest.raises(SpecError, match=r"--only studnet: no such stage \(did you mean 'student'"):
        chosen_jobs(PLAN, ["studnet"], again=False)


def test_a_finished_teacher_stays_where_it_is_when_its_student_is_redone(finished: MadeRun) -> None:
    order = order_of(finished, "student", again=True)
    set_aside(order)
    assert all(finished.run.stage(teacher(seed)).result.is_file() for seed in (1, 2))
    assert not finished.run.stage(student(1)).path.exists()
    assert set(find_starting_point(order).pending) == {student(1), student(2), REPORT}


def test_a_missing_teacher_is_made_for_the_student_that_is_redone(finished: MadeRun) -> None:
    finished.run.stage(teacher(2)).result.unlink()
    order = order_of(finished, "student", again=True)
    assert set(find_starting_point(order).pending) == {teacher(2), student(1), student(2), REPORT}


@pytest.mark.parametrize("done", [True, False])
def test_a_report_alone_waits_for_nobody_that_is_not_being_made(finished: MadeRun, done: bool) -> None:
    finished.run.stage(REPORT).result.unlink()
    if not done:
        finished.run.stage(student(2)).result.unlink()
    order = order_of(finished, "report")
    (request,) = placed_requests(order, None, find_starting_point(order))
    assert [job.key for job in request.jobs] == [REPORT]
    assert request.edge is None


def test_a_report_alone_waits_for_what_is_in_the_queue(tmp_path: Path, fake_slurm: FakeSlurm) -> None:
    made = make_run(tmp_path)
    order = order_of(made, "report")
    start = find_starting_point(order)
    live = {teacher(1): "7_0", JobKey("student", 1): "8_0"}
    (request,) = placed_requests(order, None, replace(start, live=live))
    assert request.edge is not None
    assert request.edge.text(live) == "afterany:7:8"


def test_a_preview_of_a_finished_run_sends_nothing_and_writes_nothing(finished: MadeRun) -> None:
    before = sorted(finished.run.path.rglob("*"))
    start = preview_starting_point(order_of(finished))
    assert start.pending == ()
    assert list(start.lines())[-1] == "nothing to submit"
    assert sorted(finished.run.path.rglob("*")) == before


def test_a_preview_of_a_redone_stage_shows_it_and_leaves_it(finished: MadeRun) -> None:
    start = preview_starting_point(order_of(finished, "student", again=True))
    assert set(start.pending) == {student(1), student(2), REPORT}
    assert finished.run.stage(student(1)).result.is_file()


def test_a_preview_without_slurm_goes_by_the_files(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_run(tmp_path)
    made.finish(teacher(1))
    made.submit({teacher(2): "70"})
    fake_slurm.says("squeue", "", error="Unable to contact slurm controller\n", code=1)
    start = preview_starting_point(order_of(made))
    assert start.finished == (teacher(1),)
    assert "jobs in the queue are not known here" in capsys.readouterr().err
