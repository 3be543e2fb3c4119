"""The job graph read back from plan.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import RunError
from kd.rundir.folders import RunFolder
from slurm.state.planned_jobs import read_jobs, select, with_descendants
from tests.slurm.made_runs import REPORT, make_run, student, teacher


def test_the_plan_is_read_as_the_planner_wrote_it(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    jobs = read_jobs(made.run)
    assert [job.key for job in jobs] == [job.key for job in made.plan.jobs]
    assert [job.fingerprint for job in jobs] == [job.fingerprint for job in made.plan.jobs]
    assert [job.parents for job in jobs] == [made.plan.parents_of(job) for job in made.plan.jobs]
    assert [job.waits_for_all_ended for job in jobs] == [job.waits_for_all_ended for job in made.plan.jobs]


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [{"stage": "a"}]}', '{"jobs": 3}', '{"jobs": [1]}'])
def test_a_damaged_plan_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    run = RunFolder(tmp_path)
    run.plan.write_text(text)
    with pytest.raises(RunError, match=r"plan\.json: damaged"):
        read_jobs(run)


def test_stages_and_single_jobs_are_selected_in_the_plans_order(tmp_path: Path) -> None:
    jobs = read_jobs(make_run(tmp_path).run)
    assert select(jobs, ["student/seed-2", "teacher"]) == [teacher(1), teacher(2), student(2)]


@pytest.mark.parametrize(
    ("name", "near"), [("teecher", "'teacher'"), ("teacher/seed_2", "'teacher/seed-2'"), ("x", "known: report")]
)
def test_a_name_that_is_none_gets_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(RunError, match=near):
        select(read_jobs(make_run(tmp_path).run), [name])


def test_descendants_follow_their_seed_and_the_report_needs_nobody(tmp_path: Path) -> None:
    jobs = read_jobs(make_run(tmp_path).run)
    assert with_descendants(jobs, [teacher(1)]) == {teacher(1), student(1)}
    assert with_descendants(jobs, [REPORT]) == {REPORT}
