"""A submission is one transaction: held, journalled, released; whatever breaks it, every job exists exactly once."""

from __future__ import annotations

import os
import signal
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from kd.errors import ClusterError, RunError, UserError
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal
from slurm.submission import transaction
from slurm.submission.request import Request, build_requests, run_tag
from slurm.submission.transaction import cancel_orphans, submit
from tests.slurm.made_cluster import profile
from tests.slurm.made_runs import REPORT, FakeSlurm, MadeRun, fake_slurm, make_run, squeue_line, student, teacher
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import PROFILE, kd_submit

__all__ = ["fake_slurm", "slurm"]

JOBS = (teacher(1), teacher(2), student(1), student(2), REPORT)


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path)


def requests_of(made: MadeRun) -> list[Request]:
    return build_requests(made.plan, made.run, PROFILE)


def journalled(made: MadeRun) -> dict[JobKey, str]:
    return {key: found.job_id for key, found in made.journal.submissions().items()}


def test_everything_is_held_then_journalled_then_released(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, set[str], set[str]]] = []

    def note(point: str, of: str = "") -> None:
        seen.append((point, slurm.held(), set(journalled(made).values())))

    monkeypatch.setattr(transaction, "fault_point", note)
    ids = submit(requests_of(made), made.run, {})
    assert set(ids) == set(JOBS)
    *before, released, last = seen
    for point, held, written in before:
        assert held == set(slurm.jobs) & held, point
        assert written <= held, f"{point}: nothing is released before all is journalled"
    assert [point for point, _, _ in before] == [*STEPS] * 3
    assert (released[0], last[0]) == ("after-release", "after-released")
    assert set(ids.values()) == set(slurm.jobs) == last[2]
    assert slurm.held() == set()
    assert all(found.released for found in made.journal.submissions().values())


def test_a_seeds_child_waits_for_its_own_parent_and_the_report_for_all(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    ids = submit(requests_of(made), made.run, {})
    jobs = slurm.jobs
    assert jobs[ids[student(1)]]["dependency"] == f"aftercorr:{ids[teacher(1)].partition('_')[0]}"
    arrays = ":".join(ids[key].partition("_")[0] for key in (teacher(1), student(1)))
    assert jobs[ids[REPORT]]["dependency"] == f"afterany:{arrays}"


@pytest.mark.parametrize(("parallel", "array"), [(None, "0-1%2"), (1, "0-1%1")])
def test_the_throttle_of_an_array_is_what_the_profile_allows_at_a_time(
    made: MadeRun, slurm: MakeBelieveSlurm, parallel: int | None, array: str
) -> None:
    site = profile("gpu", parallel=parallel)
    ids = submit(build_requests(made.plan, made.run, site), made.run, {})
    assert slurm.jobs[ids[teacher(1)]]["array"] == array


BREAKS: dict[str, tuple[str, int, bool]] = {
    "the first sbatch is refused": ("sbatch", 1, False),
    "the second sbatch is refused": ("sbatch", 2, False),
    "the last sbatch is refused": ("sbatch", 3, False),
    "the second sbatch is accepted, but the answer is lost": ("sbatch", 2, True),
    "the release is refused": ("scontrol", 1, False),
    "the release works, but the answer is lost": ("scontrol", 1, True),
}


@pytest.mark.parametrize("name", BREAKS)
def test_when_a_call_fails_all_is_taken_back_and_the_next_submission_sends_each_job_once(
    made: MadeRun, slurm: MakeBelieveSlurm, name: str
) -> None:
    program, number, works = BREAKS[name]
    slurm.break_call(program, number, works=works)
    with pytest.raises(ClusterError, match="Socket timed out"):
        submit(requests_of(made), made.run, {})
    assert slurm.alive() == {}
    assert journalled(made) == {}
    assert_each_job_once(made, slurm)


def test_what_cannot_be_rolled_back_stays_held_and_goes_at_the_next_submission(
    made: MadeRun, slurm: MakeBelieveSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.break_call("sbatch", 2)
    slurm.break_call("scancel", 1)
    with pytest.raises(ClusterError, match="sbatch refused stage 'student'"):
        submit(requests_of(made), made.run, {})
    assert "roll-back incomplete" in capsys.readouterr().err
    assert slurm.held() == set(slurm.alive()) != set()
    assert_each_job_once(made, slurm)


def test_a_roll_back_spares_jobs_that_lived_before(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    older = submit([requests_of(made)[0]], made.run, {})
    rest = build_requests(made.plan, made.run, PROFILE, pending=set(JOBS) - set(older), attempt=2)
    slurm.break_call("sbatch", 2)
    with pytest.raises(UserError):
        submit(rest, made.run, older)
    assert set(slurm.alive()) == set(older.values())
    assert journalled(made) == older


STEPS = ("after-intent", "after-sbatch", "after-submitted")
POINTS = [
    *(f"{step} {request}" for step in STEPS for request in ("teacher", "student", "report")),
    "after-release",
    "after-released",
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_between_any_two_steps_nothing_is_lost_or_doubled(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("KD_FAULT_POINT", point)
    assert ended_by(lambda: submit(requests_of(made), made.run, {})) == signal.SIGKILL
    if not point.startswith("after-release"):
        assert slurm.held() == set(slurm.alive()), "nothing runs of a submission that was cut short"
    monkeypatch.delenv("KD_FAULT_POINT")
    assert_each_job_once(made, slurm)


def test_killed_while_it_clears_up_it_clears_up_again(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in ("after-sbatch student", "after-cancelling-orphans"):
        monkeypatch.setenv("KD_FAULT_POINT", point)
        assert ended_by(lambda: kd_submit(made)) == signal.SIGKILL
    monkeypatch.delenv("KD_FAULT_POINT")
    assert_each_job_once(made, slurm)


def assert_each_job_once(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    """Submit again as kd-submit does; then every job is in the queue once, released, and under its journalled id."""
    kd_submit(made)
    found = journalled(made)
    assert set(found) == set(JOBS)
    assert sorted(found.values()) == sorted(slurm.alive())
    assert slurm.held() == set()
    assert made.journal.open_intents() == {}


def ended_by(action: Callable[[], object]) -> int:
    """Do something in a forked process; return the signal that ended it, 0 when it came to its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test runner's threads matter little to this child
        process = os.fork()
    if process == 0:
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_the_folder_of_pickles_is_closed_to_others(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made.run.submitted("teacher")
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    before = os.umask(0)  # a shell that lets its group write
    try:
        submit(requests_of(made), made.run, {})
    finally:
        os.umask(before)
    for stage in ("teacher", "student", "report"):
        mode = stat.S_IMODE(made.run.submitted(stage).stat().st_mode)
        assert mode & 0o022 == 0, f"{stage}: jobs load pickles from a folder of mode {mode:o}"


def test_a_folder_of_pickles_that_is_somebody_elses_is_refused(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.run.submitted("teacher").mkdir(parents=True)
    me = os.getuid()
    monkeypatch.setattr(transaction.os, "getuid", lambda: me + 1)
    with pytest.raises(RunError, match="belongs to somebody else"):
        submit(requests_of(made), made.run, {})
    assert slurm.jobs == {}


# What an interrupted submission left behind: found by the comments of queued jobs, whatever the journal lacks.


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one journalled array (7) and an sbatch whose answer was never written down."""
    run = RunFolder(tmp_path / "results" / "run")
    journal = Journal(run.journal)
    journal.intend("first", [teacher()])
    journal.submitted("first", "slurm", {teacher(1): "7_0", teacher(2): "7_1"})
    journal.intend("second", [teacher(3)])
    return run


def test_a_queued_job_that_nobody_wrote_down_is_cancelled_and_others_are_spared(
    run: RunFolder, fake_slurm: FakeSlurm
) -> None:
    mine = run_tag(run)
    comments = {"7_0": f"{mine}:teacher:1", "8": f"{mine}:x:2", "9": "kd:other:x:1", "10": "(null)"}
    fake_slurm.says("squeue", "".join(squeue_line(job, "PENDING", Comment=said) for job, said in comments.items()))
    assert cancel_orphans(run) == ["8"]
    assert fake_slurm.calls("scancel") == ["scancel --quiet 8"]
    assert Journal(run.journal).open_intents() == {}


def test_a_job_that_appears_after_its_intent_was_settled_is_still_found(run: RunFolder, fake_slurm: FakeSlurm) -> None:
    assert cancel_orphans(run) == []
    fake_slurm.says("squeue", squeue_line("11", "PENDING", Comment=f"{run_tag(run)}:teacher:1"))
    assert cancel_orphans(run) == ["11"]


def test_a_silent_slurm_settles_nothing(run: RunFolder, fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", "", error="slurm_load_jobs error: Unable to contact slurm controller", code=1)
    with pytest.raises(ClusterError, match="Unable to contact"):
        cancel_orphans(run)
    assert list(Journal(run.journal).open_intents()) == ["second"]


def test_a_run_that_never_went_to_slurm_asks_nobody(tmp_path: Path, fake_slurm: FakeSlurm) -> None:
    assert cancel_orphans(RunFolder(tmp_path / "run")) == []
    assert fake_slurm.calls("squeue") == []
