"""A seed that a run was given once can be taken away again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kd.errors import RunError
from slurm.state.planned_jobs import read_jobs
from slurm.submission.dropped_seeds import drop_seeds, preview_drop
from slurm.submission.order import Order
from tests.slurm.made_runs import REPORT, MadeRun, make_run, plan_of, student, teacher
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import kd_submit, order_of

__all__ = ["slurm"]


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path, (1, 2))


def without_seed_2(made: MadeRun) -> Order:
    return replace(order_of(made), plan=plan_of([1]))


def test_a_cancelled_seed_is_taken_out_and_its_folder_kept(made: MadeRun) -> None:
    made.finish(teacher(2))
    (line,) = drop_seeds(without_seed_2(made), [2])
    assert line.startswith("dropped seed 2: its folders are in trial/replaced")
    assert [job.key for job in read_jobs(made.run)] == [teacher(1), student(1), REPORT]
    assert not made.run.stage(teacher(2)).path.exists()
    assert list(made.run.path.glob("replaced/*/teacher/seed-2/result.json"))


def test_a_seed_that_waits_is_not(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    kd_submit(made)
    with pytest.raises(RunError, match=r"teacher/seed-2, student/seed-2 wait or run; kd-cancel trial teacher/seed-2"):
        drop_seeds(without_seed_2(made), [2])


def test_nor_one_that_is_asked_for_or_unknown(made: MadeRun) -> None:
    with pytest.raises(RunError, match="this submission names it"):
        drop_seeds(order_of(made), [2])
    with pytest.raises(RunError, match="no such seed"):
        drop_seeds(without_seed_2(made), [7])


def test_a_preview_names_what_would_go_and_refuses_what_the_action_does(made: MadeRun) -> None:
    made.finish(teacher(2))
    before = sorted(made.run.path.rglob("*"))
    (line,) = preview_drop(without_seed_2(made), [2])
    assert line == "would drop seed 2: 2 jobs leave the plan, their folders are set aside"
    with pytest.raises(RunError, match="no such seed"):
        preview_drop(without_seed_2(made), [7])
    assert sorted(made.run.path.rglob("*")) == before
