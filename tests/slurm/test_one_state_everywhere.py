"""kd-status, kd-cancel and the report agree on a job, whatever its state is and whoever does it.

The report asks no Slurm: of a job that ended without a word it says that it waits, and never that it is done.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from kd.report.collect import collect
from slurm.commands.cancel import main as kd_cancel
from slurm.state.job_status import snapshot
from slurm.submission.executors import EXECUTORS
from tests.slurm.made_runs import MadeRun, make_run, teacher
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import kd_submit

__all__ = ["slurm"]
TEACHER = teacher(1)
SOMEBODY = 54321


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """How kd-status and the report call a state, and whether kd-cancel finds something to cancel."""

    status: str
    report: str
    alive: bool


STATES = {
    "waiting": Expected(status="queued", report="waiting", alive=True),
    "running": Expected(status="running", report="unfinished", alive=True),
    "failed": Expected(status="failed", report="failed", alive=False),
    "killed": Expected(status="failed", report="waiting", alive=False),
    "cancelled": Expected(status="stopped", report="stopped", alive=False),
    "done": Expected(status="done", report="", alive=False),
}
WHOSE = ("first try", "made anew", "taken over", "another user's")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    return tmp_path


def bring_about(state: str, made: MadeRun, slurm: MakeBelieveSlurm, job_id: str) -> None:
    """Let a submitted teacher get into a state."""
    if state == "running":
        slurm.set_state(job_id, "RUNNING")
        made.beat(TEACHER)
        (made.run.stage(TEACHER).path / "result.json").unlink(missing_ok=True)
    elif state == "failed":
        made.fail(TEACHER, "no data", job_id=job_id)
        slurm.set_state(job_id, "FAILED")
    elif state == "killed":
        slurm.set_state(job_id, "TIMEOUT")
    elif state == "cancelled":
        kd_cancel([made.run.name])
    elif state == "done":
        made.finish(TEACHER, job_id=job_id)
        slurm.set_state(job_id, "COMPLETED")


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("state", STATES)
def test_all_commands_agree(
    state: str,
    whose: str,
    results: Path,
    slurm: MakeBelieveSlurm,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = made = make_run(results, (1,), name="lender")
    for job in made.plan.jobs:
        made.run.stage(job.key).path.mkdir(parents=True)
    if whose == "made anew":
        kd_submit(made)
        made.finish(TEACHER, files={"checkpoint/last.safetensors": "of other bytes"}, finished=time.time() - 60)
        for job_id in slurm.alive():
            slurm.set_state(job_id, "CANCELLED")
    job_id = kd_submit(made)[TEACHER]
    if whose == "taken over":
        seen = make_run(results, (1,), name="borrower")
        kd_submit(seen)
    bring_about(state, made, slurm, job_id)
    if whose == "another user's":
        monkeypatch.setattr(os, "getuid", lambda: SOMEBODY)
    expected = STATES[state]
    (status,) = (row for row in snapshot(seen.run, EXECUTORS) if row.key == TEACHER)
    assert status.phase == expected.status
    assert status.alive is expected.alive
    (family,) = collect([seen.run.path], seen.run.path).values()
    said = {hole.state for hole in family.missing if hole.stage == "teacher"}
    assert said == ({expected.report} if expected.report else set())
    capsys.readouterr()
    assert kd_cancel([seen.run.name, "teacher"]) == 0
    answer = capsys.readouterr().out
    if whose == "taken over":
        assert ("not cancelled: teacher/seed-1" in answer) is expected.alive
    else:
        assert ("cancelled teacher/seed-1" in answer) is expected.alive
