"""kd-status as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd.files import write_json
from slurm.commands import status, status_views
from slurm.state.job_status import JobStatus, snapshot
from slurm.submission.executors import EXECUTORS
from tests.slurm.made_runs import REPORT, FakeSlurm, MadeRun, fake_slurm, make_run, squeue_line, student, teacher

__all__ = ["fake_slurm"]
IDS = {teacher(1): "7_0", teacher(2): "7_1", student(1): "8_0", student(2): "8_1", REPORT: "9"}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    made = make_run(tmp_path)
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    return made


def test_a_run_that_is_well_ends_with_0(made: MadeRun, capsys: Capture) -> None:
    made.finish(teacher(1))
    assert status.main(["trial"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["stage", "seed", "state"]
    assert out[1].split() == ["teacher", "1", "done"]
    assert out[-1] == "trial: 1 done, 4 not submitted of 5 jobs"


def test_a_failure_ends_with_1_and_its_reason(made: MadeRun, capsys: Capture) -> None:
    made.fail(teacher(1), "data.root: /data does not exist")
    assert status.main([str(made.run.path)]) == 1
    out = capsys.readouterr().out
    assert "data.root: /data does not exist" in out
    assert "not run: teacher seed 1 failed" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trail"], "did you mean 'trial'?"),
        (["trial", "--results", "/nowhere"], "no such run folder, nor a run in /nowhere"),
        (["trial", "--logs", "teecher"], "did you mean 'teacher'?"),
    ],
)
def test_mistakes_end_with_2_and_one_line(made: MadeRun, capsys: Capture, arguments: list[str], said: str) -> None:
    assert status.main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_json_holds_every_job(made: MadeRun, fake_slurm: FakeSlurm, capsys: Capture) -> None:
    made.submit(IDS)
    fake_slurm.says("squeue", "".join(squeue_line(job_id, "PENDING", "Priority") for job_id in IDS.values()))
    assert status.main(["trial", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["run"] == str(made.run.path)
    assert value["counts"] == {"queued": 5}
    assert [job["job_id"] for job in value["jobs"]] == ["7_0", "7_1", "8_0", "8_1", "9"]
    assert value["jobs"][0]["scheduler_reason"] == "Priority"


def test_when_slurm_is_silent_the_files_speak(made: MadeRun, fake_slurm: FakeSlurm, capsys: Capture) -> None:
    made.submit(IDS)
    made.finish(teacher(1))
    fake_slurm.says("squeue", "", error="Unable to contact slurm controller\n", code=1)
    assert status.main(["trial"]) == 0
    captured = capsys.readouterr()
    assert "Unable to contact slurm controller" in captured.err
    assert "trial: 1 done, 4 queued of 5 jobs" in captured.out


def test_the_report_is_pointed_at_once_it_is_there(made: MadeRun, capsys: Capture) -> None:
    write_json(made.run.report_json, {})
    status.main(["trial"])
    assert capsys.readouterr().out.rstrip().endswith(f"report: {made.run.report_json}")


def test_logs_print_the_end_of_each_file_under_its_name(made: MadeRun, capsys: Capture) -> None:
    log = made.run.stage(teacher(1)).log / "attempt-1.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert status.main(["trial", "--logs", "teacher", "--lines", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [f"==> {log} <==", "line 98", "line 99"]
    assert out[3].startswith("teacher/seed-2: no log yet")
    status.main(["trial", "--logs", "teacher/seed-1"])
    assert len(capsys.readouterr().out.splitlines()) == 1 + status.LINES


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_watching_takes_seconds(made: MadeRun, capsys: Capture, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        status.main(["trial", f"--watch={text}"])
    assert "expected seconds" in capsys.readouterr().err


def test_watching_redraws_until_everything_has_ended(
    made: MadeRun, fake_slurm: FakeSlurm, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.submit(IDS)
    fake_slurm.says("squeue", "".join(squeue_line(job_id, "RUNNING") for job_id in IDS.values()))
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        for key in IDS if len(pauses) == 2 else ():
            made.finish(key)

    monkeypatch.setattr(status_views, "time", SimpleNamespace(sleep=pause))
    assert status.main(["trial", "--watch", "3"]) == 0
    assert pauses == [3.0, 3.0]
    assert "trial: 5 done of 5 jobs" in capsys.readouterr().out


def test_ctrl_c_ends_the_watching_and_nothing_else(
    made: MadeRun, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.submit(IDS)
    fake_slurm.says("squeue", "".join(squeue_line(job_id, "RUNNING") for job_id in IDS.values()))

    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status_views, "time", SimpleNamespace(sleep=pause))
    assert status.main(["trial", "--watch"]) == 130
    assert fake_slurm.calls("scancel") == []


def test_a_small_screen_shows_what_runs_and_what_failed_first(tmp_path: Path) -> None:
    made = make_run(tmp_path, range(40))
    made.fail(teacher(30), "no data")
    made.beat(teacher(35))
    states: list[JobStatus] = snapshot(made.run, EXECUTORS)
    screen = status_views._screen(made.run, states, "", (100, 12))
    lines = screen.plain.splitlines()
    assert len(lines) <= 12
    assert lines[1].split()[:3] == ["teacher", "35", "running"]
    assert lines[2].split()[:3] == ["teacher", "30", "failed"]
    assert lines[-1].startswith("trial: 1 running, ")


def test_looking_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "matplotlib", "pydantic", "yaml", "submitit", "rich")
    program = (
        "import sys, slurm.commands.status_views, slurm.commands.cancel; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
