"""Which runs wait for a job of this one."""

from __future__ import annotations

from pathlib import Path

from slurm.state.borrowers import borrowers
from tests.slurm.made_runs import make_run, student, teacher


def test_a_run_with_a_link_to_the_job_borrows_it(tmp_path: Path) -> None:
    run, other = (make_run(tmp_path, [1], name=name).run for name in ("mine", "other"))
    run.stage(teacher()).path.mkdir(parents=True)
    link = other.stage(teacher()).path
    link.parent.mkdir(parents=True)
    link.symlink_to(run.stage(teacher()).path)
    assert borrowers(run, [teacher(), student()]) == {"other": [teacher()]}


def test_links_that_lead_in_a_circle_borrow_nothing(tmp_path: Path) -> None:
    run, other = (make_run(tmp_path, [1], name=name).run for name in ("mine", "other"))
    first, second = other.stage(teacher()).path, other.stage(student()).path
    for path, target in ((first, second), (second, first), (run.stage(teacher()).path, run.stage(teacher()).path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    assert borrowers(run, [teacher()]) == {}
