"""kd-cancel: what it cancels, what it spares, and that doing it twice does no harm."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.rundir.folders import JobKey
from slurm.commands.cancel import main
from slurm.state.job_status import snapshot
from slurm.submission.executors import EXECUTORS
from slurm.submission.slurm_executor import scancel_ids
from tests.slurm.made_runs import REPORT, FakeSlurm, MadeRun, fake_slurm, make_run, squeue_line, student, teacher
from tests.testbed import Testbed, wait_until

__all__ = ["fake_slurm"]
IDS = {teacher(1): "7_0", teacher(2): "7_1", student(1): "8_0", student(2): "8_1", REPORT: "9"}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    return make_run(tmp_path)


@pytest.fixture
def submitted(made: MadeRun, fake_slurm: FakeSlurm) -> MadeRun:
    """Teachers run, the rest waits for them."""
    made.submit(IDS)
    lines = [squeue_line(job_id, "RUNNING" if job_id[0] == "7" else "PENDING", "Dependency") for job_id in IDS.values()]
    fake_slurm.says("squeue", "".join(lines))
    return made


@pytest.fixture
def sleepers(made: MadeRun) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Stand-ins for a stage of each of two jobs, as the local executor starts them, and for a stranger."""
    program = [sys.executable, "-c", "import time; time.sleep(60)", "slurm.job.fork_server"]
    folders = [made.run.submitted_alone(key) for key in (teacher(1), teacher(2))]
    for folder in folders:
        folder.mkdir(parents=True)
    started = [subprocess.Popen(program, cwd=folder) for folder in (*folders, made.run.path)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def phases(made: MadeRun) -> dict[JobKey, str]:
    return {state.key: state.phase for state in snapshot(made.run, EXECUTORS)}


def test_everything_alive_is_cancelled_with_one_call(
    submitted: MadeRun, fake_slurm: FakeSlurm, capsys: Capture
) -> None:
    submitted.finish(teacher(1))
    assert main(["trial"]) == 0
    assert fake_slurm.calls("scancel") == ["scancel --quiet 7 8 9"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "cancelled teacher/seed-2 (running, job 7_1)"
    assert out[-1] == "trial: 4 cancelled; run kd-submit again to go on"
    assert len(out) == 5
    assert phases(submitted) == {key: "done" if key == teacher(1) else "stopped" for key in IDS}


def test_cancelling_twice_says_so_and_sends_nothing(submitted: MadeRun, fake_slurm: FakeSlurm, capsys: Capture) -> None:
    assert main(["trial"]) == 0
    capsys.readouterr()
    assert main(["trial"]) == 0
    assert capsys.readouterr().out == "trial: nothing to cancel\n"
    assert len(fake_slurm.calls("scancel")) == 1


def test_a_stage_takes_its_dependents_along_but_not_the_report(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    assert main(["trial", "teacher/seed-2"]) == 0
    assert fake_slurm.calls("scancel") == ["scancel --quiet 7_1 8_1"]
    assert {key for key, phase in phases(submitted).items() if phase == "stopped"} == {teacher(2), student(2)}


def test_a_job_that_can_never_run_is_removed_from_the_queue(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", squeue_line("8_0", "PENDING", "DependencyNeverSatisfied"))
    assert main(["trial"]) == 0
    assert fake_slurm.calls("scancel") == ["scancel --quiet 8"]


def test_a_run_that_was_never_submitted_has_nothing_to_cancel(made: MadeRun, capsys: Capture) -> None:
    assert main([str(made.run.path)]) == 0
    assert capsys.readouterr().out == "trial: nothing to cancel\n"


@pytest.mark.parametrize(
    ("arguments", "said"), [(["trail"], "did you mean 'trial'?"), (["trial", "techer"], "did you mean 'teacher'?")]
)
def test_mistakes_cancel_nothing(
    submitted: MadeRun, fake_slurm: FakeSlurm, capsys: Capture, arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert fake_slurm.calls("scancel") == []


def test_what_slurm_refuses_to_cancel_is_not_journalled(
    submitted: MadeRun, fake_slurm: FakeSlurm, capsys: Capture
) -> None:
    fake_slurm.says("scancel", "", error="scancel: error: Access/permission denied\n", code=1)
    assert main(["trial"]) == 2
    assert "Access/permission denied" in capsys.readouterr().err
    assert phases(submitted)[teacher(1)] == "running"


def test_jobs_that_a_killed_submission_left_behind_are_cancelled_too(
    made: MadeRun, fake_slurm: FakeSlurm, capsys: Capture
) -> None:
    from slurm.submission.request import run_tag

    token = f"{run_tag(made.run)}:teacher:1"
    made.journal.intend(token, [teacher(1)])
    comments = {"55": token, "56": "kd:of-another-run:teacher:1"}
    fake_slurm.says(
        "squeue", "".join(squeue_line(job, "PENDING", Comment=comment) for job, comment in comments.items())
    )
    assert main(["trial"]) == 0
    assert fake_slurm.calls("scancel") == ["scancel --quiet 55"]
    assert "cancelled job 55, left behind by an interrupted kd-submit" in capsys.readouterr().out
    assert made.journal.open_intents() == {}


@pytest.mark.parametrize(
    ("chosen", "alive", "ids"),
    [
        (["7_0", "7_1", "9"], ["7_0", "7_1", "9"], ["7", "9"]),
        (["7_0"], ["7_0", "7_1"], ["7_0"]),
        (["7_0", "8_0"], ["7_0", "8_0", "8_1"], ["7", "8_0"]),
        ([], ["7_0"], []),
    ],
)
def test_whole_arrays_are_named_where_nothing_else_of_them_lives(
    chosen: list[str], alive: list[str], ids: list[str]
) -> None:
    assert scancel_ids(chosen, alive) == ids


def test_local_processes_are_asked_to_stop(
    made: MadeRun, sleepers: list[subprocess.Popen[bytes]], capsys: Capture
) -> None:
    first, second, stranger = sleepers
    made.submit({teacher(1): str(first.pid), teacher(2): str(second.pid)}, executor="local")
    assert main(["trial", "teacher/seed-1"]) == 0
    assert first.wait(timeout=30) == -15
    assert (second.poll(), stranger.poll()) == (None, None)
    assert capsys.readouterr().out.startswith(f"cancelled teacher/seed-1 (running, process {first.pid})")
    assert main(["trial"]) == 0
    assert second.wait(timeout=30) == -15
    assert phases(made)[teacher(2)] == "stopped"


def test_a_stranger_with_a_process_id_of_ours_is_spared(
    made: MadeRun, sleepers: list[subprocess.Popen[bytes]], capsys: Capture
) -> None:
    made.submit({teacher(1): str(sleepers[0].pid)}, executor="local")
    process = made.journal.newest()[teacher(1)].process
    assert process is not None
    journal = made.run.journal
    journal.write_text(journal.read_text().replace(process.started, "another boot 77"))
    assert main(["trial"]) == 0
    assert capsys.readouterr().out == "trial: nothing to cancel\n"
    assert sleepers[0].poll() is None


def test_a_process_of_another_machine_is_named_and_left_to_it(
    made: MadeRun, sleepers: list[subprocess.Popen[bytes]], capsys: Capture
) -> None:
    made.submit({teacher(1): str(sleepers[0].pid)}, executor="local")
    process = made.journal.newest()[teacher(1)].process
    assert process is not None
    journal = made.run.journal
    journal.write_text(journal.read_text().replace(f'"{process.host}"', '"another-host"'))
    made.beat(teacher(1), ago=-1)
    assert main(["trial"]) == 0
    assert "not cancelled: teacher/seed-1: it runs on another-host; run kd-cancel there" in capsys.readouterr().out
    assert sleepers[0].poll() is None
    assert phases(made)[teacher(1)] == "running"


def test_the_kd_submit_that_starts_local_jobs_is_stopped_with_the_whole_run_only(
    made: MadeRun, sleepers: list[subprocess.Popen[bytes]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sleepers[0]
    made.run.journal.touch()
    with open(made.run.journal) as journal:
        scheduler = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=journal)
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: scheduler.pid)
        made.journal.scheduling()
    made.submit({teacher(1): str(job.pid)}, executor="local")
    assert main(["trial", "teacher/seed-2"]) == 0
    assert "not cancelled: teacher/seed-2 has not started" in capsys.readouterr().out
    assert scheduler.poll() is None
    assert main(["trial"]) == 0
    assert f"stopped the kd-submit that ran it (process {scheduler.pid})" in capsys.readouterr().out
    assert (scheduler.wait(timeout=30), job.wait(timeout=30)) == (-15, -15)


def test_processes_that_a_journal_names_and_that_are_not_of_its_run_are_spared(
    made: MadeRun, sleepers: list[subprocess.Popen[bytes]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = sleepers[2]
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: stranger.pid)
        made.journal.scheduling()
    made.submit({teacher(1): str(stranger.pid)}, executor="local")
    assert main(["trial"]) == 0
    assert "not cancelled: teacher/seed-1: its process is no stage of this run" in capsys.readouterr().out
    assert stranger.poll() is None


def test_a_copied_run_cancels_nothing_of_the_original(
    submitted: MadeRun, fake_slurm: FakeSlurm, capsys: Capture
) -> None:
    shutil.copytree(submitted.run.path, submitted.run.path.with_name("copy"))
    assert main(["copy"]) == 0
    assert capsys.readouterr().out == "copy: nothing to cancel\n"
    assert fake_slurm.calls("scancel") == []


@pytest.mark.slurm
def test_on_a_real_slurm_jobs_are_gone_after_kd_cancel(
    made: MadeRun, testbed: Testbed, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SLURM_CONF", testbed.environment["SLURM_CONF"])
    comment = "--comment=kd:test:teacher:1"  # the token under which the journal has them
    array = testbed.submit("sleep 60", "--array=0-1", "--mem=100M", comment)
    child = testbed.submit("true", f"--dependency=aftercorr:{array}", "--array=0-1", "--mem=100M", comment)
    ids = {teacher(1): f"{array}_0", teacher(2): f"{array}_1", student(1): f"{child}_0", student(2): f"{child}_1"}
    made.submit(ids)
    wait_until(lambda: phases(made)[teacher(1)] == "running", "the teacher to run")
    assert main(["trial", "teacher/seed-1"]) == 0
    assert phases(made)[teacher(2)] in ("queued", "running")
    assert main(["trial"]) == 0
    assert set(phases(made).values()) == {"stopped", "not submitted"}
    wait_until(lambda: not testbed.run("squeue", "-h", "-j", f"{array},{child}").stdout, "the queue to be empty")
    capsys.readouterr()
    assert main(["trial"]) == 0
    assert capsys.readouterr().out == "trial: nothing to cancel\n"
