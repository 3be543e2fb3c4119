"""The payload: one attempt at a stage, with real signals, kills, full disks and second copies."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kd.run
from kd.errors import DataError, RunError
from kd.files import read_json, write_json
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.stage import Pipeline
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import RunFolder, StageFolder
from kd.stages.context import StageContext
from slurm.job.payload import StageJob
from slurm.job.preemption import StopSignals
from tests.kd.conftest import damaged
from tests.slurm.conftest import MakeStage

REPOSITORY = Path(__file__).resolve().parents[3]
WEIGHTS = "checkpoint/best.safetensors"
COUNTED = "\n".join(str(step) for step in range(1, 21))
LONG = 3000  # steps of 20 ms: longer than any test waits

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(folder: Path) -> Callable[..., None]:
    """A function that writes launch.json; scratch is a folder named for the job."""

    def write(**values: Any) -> None:
        (folder / "run").mkdir(exist_ok=True)
        (folder / "scratch").mkdir(exist_ok=True)
        settings = {"executor": "slurm", "cluster": "test", "scratch": ["$LOCAL/$SLURM_JOB_ID"], "max_restarts": 3}
        write_json(folder / "run" / "launch.json", {**settings, "submit_tmpdir": None, **values})

    return write


@pytest.fixture
def start(folder: Path) -> Start:
    """A function that starts the counting job as a process, on Slurm as job 12_3 (raw number 15) or elsewhere."""

    def run(stage: StageFolder, executor: str = "slurm", steps: int = 20, **variables: str) -> subprocess.Popen[str]:
        slurm = {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        environment |= {**slurm, "LOCAL": str(folder / "scratch"), "PYTHONPATH": str(REPOSITORY), **variables}
        environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
        command = [
            sys.executable,
            str(Path(__file__).parents[1] / "counting_job.py"),
            str(stage.path),
            executor,
            str(steps),
        ]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return run


@pytest.fixture
def scontrol(folder: Path) -> Callable[[str], Path]:
    """A function that installs a stand-in ``scontrol`` with this body; returns the file that lists its calls."""

    def install(body: str) -> Path:
        program = folder / "bin" / "scontrol"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "$(dirname -- "$0")/calls"\n{body}\n')
        program.chmod(0o755)
        return program.with_name("calls")

    return install


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code and what it printed."""
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def wait_until_counting(stage: StageFolder, after: int = 0) -> dict[str, Any]:
    """Wait until the job counts beyond ``after``; return its progress."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = read_object(stage.progress)
        if progress is not None and progress["step"] > after:
            return progress
        time.sleep(0.01)
    raise AssertionError("the job does not count")


def saved(stage: StageFolder) -> int:
    """Return the last number the job made durable."""
    return int((stage.checkpoint / "resume.pt").read_text().split()[-1])


def test_a_job_holds_a_path_and_an_executor_and_nothing_else(tmp_path: Path) -> None:
    job = StageJob(tmp_path, "slurm")
    assert pickle.loads(pickle.dumps(job)) == job
    assert len(pickle.dumps(job)) < 400


def test_a_stage_runs_on_scratch_and_leaves_only_its_results(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, folder: Path
) -> None:
    launch()
    parent = make_stage(files={WEIGHTS: b"w"})
    data = folder / "data.tar"
    data.write_bytes(b"data")
    stage = make_stage("student", parents={"teacher": "teacher"}, data={"root": str(data)})
    code, output = end(start(stage, SLURM_CPUS_PER_TASK="1"))
    assert code == 0, output
    result = read_json(stage.result)
    facts = result["job"]
    assert facts["job_id"] == "12_3"
    assert facts["cluster"] == "test"
    assert (facts["attempt"], facts["restarts"]) == (1, 0)
    assert (facts["staging"]["work"], facts["staging"]["data"]) == ("scratch", "scratch")
    assert facts["staging"]["bytes_in"] > parent.result.stat().st_size
    assert facts["staging"]["bytes_out"] > len(COUNTED)
    assert (stage.path / WEIGHTS).read_text() == COUNTED
    assert damaged(stage) == []
    assert os.listdir(folder / "scratch") == []
    assert not stage.failure.exists()
    log = (stage.log / "attempt-1.log").read_text()
    assert log.startswith("attempt 1: job 12_3 on ")
    assert "its path names this job" in log
    assert log in output.replace("\r", "")


def test_what_is_done_is_not_done_again(make_stage: MakeStage, launch: Callable[..., None], start: Start) -> None:
    launch()
    stage = make_stage(files={WEIGHTS: b"w"})
    write_json(stage.failure, {"message": "of an earlier attempt"})
    before = stage.result.read_bytes()
    code, output = end(start(stage))
    assert code == 0
    assert "already done" in output
    assert stage.result.read_bytes() == before
    assert not stage.failure.exists()


def test_a_result_whose_weights_were_edited_is_done_again(
    make_stage: MakeStage, launch: Callable[..., None], start: Start
) -> None:
    launch()
    stage = make_stage(files={WEIGHTS: b"w"})
    (stage.path / WEIGHTS).write_bytes(b"W")
    code, output = end(start(stage))
    assert code == 0, output
    assert (stage.path / WEIGHTS).read_text() == COUNTED
    assert (stage.path / "replaced-1" / WEIGHTS).read_bytes() == b"W"


@pytest.mark.parametrize("fault", ["unfinished", "edited"])
def test_a_child_does_not_run_without_its_parent(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, fault: str
) -> None:
    launch()
    parent = make_stage(files=None if fault == "unfinished" else {WEIGHTS: b"w"})
    if fault == "edited":
        (parent.path / WEIGHTS).write_bytes(b"W")
    stage = make_stage("student", parents={"teacher": "teacher"})
    code, output = end(start(stage, "local"))
    failure = read_json(stage.failure)
    assert code == 1
    assert "Traceback" not in output
    assert failure["error"] == {"unfinished": "RunError", "edited": "CheckpointError"}[fault]
    assert {"unfinished": "has not finished", "edited": "changed or damaged"}[fault] in failure["message"]
    assert "\n" not in failure["message"]
    assert "Traceback" in failure["traceback"]
    assert not stage.progress.exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [(DataError("no images in /data\n(empty)"), "no images in /data (empty)"), (KeyError("x"), "KeyError: 'x'")],
    ids=["user error", "bug"],
)
def test_a_failure_is_recorded_and_the_next_success_removes_it(
    make_stage: MakeStage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    message: str,
) -> None:
    stage = make_stage()

    def fail(context: StageContext) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(kd.run, "run_stage", fail)
    with pytest.raises(SystemExit) as caught:
        StageJob(stage.path, "local")()
    assert caught.value.code == 1
    failure = read_json(stage.failure)
    assert (failure["error"], failure["message"], failure["attempt"]) == (type(error).__name__, message, 1)
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, KeyError)
    with pytest.raises(type(error)):
        StageJob(stage.path, "debug")()
    monkeypatch.setattr(kd.run, "run_stage", lambda context: {})
    StageJob(stage.path, "debug")()
    assert not stage.failure.exists()
    assert sorted(os.listdir(stage.log)) == ["attempt-1.log", "attempt-2.log", "attempt-3.log"]


def test_a_preempted_job_hands_over_and_goes_on_where_it_was(
    make_stage: MakeStage,
    launch: Callable[..., None],
    start: Start,
    scontrol: Callable[[str], Path],
    folder: Path,
) -> None:
    launch()
    stage = make_stage()
    calls = scontrol('kill -TERM "$PPID"')  # Slurm requeues, then ends the present run
    process = start(stage, steps=LONG)
    wait_until_counting(stage)
    process.send_signal(signal.SIGUSR2)
    code, output = end(process)
    assert code == 1
    assert calls.read_text() == "requeue 12_3\n"
    assert "saved after SIGUSR2; requeueing (restart 1 of 3)" in output
    assert not stage.failure.exists()
    assert os.listdir(folder / "scratch") == []
    handed_over = saved(stage)
    code, output = end(start(stage, SLURM_RESTART_COUNT="1"))
    assert code == 0, output
    result = read_json(stage.result)
    assert result["first"] == handed_over
    assert (result["job"]["attempt"], result["job"]["restarts"]) == (2, 1)
    assert (stage.path / WEIGHTS).read_text() == COUNTED or handed_over > 20


def test_a_refused_requeue_fails_in_words(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, scontrol: Callable[[str], Path]
) -> None:
    launch()
    stage = make_stage()
    scontrol('echo "Requested operation is presently disabled" >&2; exit 1')
    process = start(stage, steps=LONG)
    wait_until_counting(stage)
    process.send_signal(signal.SIGUSR2)
    code, output = end(process)
    assert code == 1
    assert "Traceback" not in output
    failure = read_json(stage.failure)
    assert failure["error"] == "ClusterError"
    assert "presently disabled" in failure["message"]
    assert "its checkpoint is kept" in failure["message"]
    assert saved(stage) > 0


def test_the_restart_budget_ends_the_job(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, scontrol: Callable[[str], Path]
) -> None:
    launch(max_restarts=2)
    stage = make_stage()
    calls = scontrol("exit 0")
    process = start(stage, steps=LONG, SLURM_RESTART_COUNT="2")
    wait_until_counting(stage)
    process.send_signal(signal.SIGUSR2)
    assert end(process)[0] == 1
    assert not calls.exists()
    assert "after 2 restarts (max_restarts: 2)" in read_json(stage.failure)["message"]


def test_a_terminated_job_saves_is_not_requeued_and_goes_on_if_it_lives(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, scontrol: Callable[[str], Path], folder: Path
) -> None:
    launch()
    stage = make_stage()
    calls = scontrol("exit 0")
    process = start(stage, steps=60)
    wait_until_counting(stage)
    process.send_signal(signal.SIGTERM)
    code, output = end(process)
    assert code == 0, output
    assert not calls.exists()
    assert "saved after SIGTERM; waiting for Slurm to end this job" in output
    assert "the job lives on: training continues" in output
    assert 0 < read_json(stage.result)["first"] < 60
    assert os.listdir(folder / "scratch") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_local_job_saves_and_ends(make_stage: MakeStage, start: Start, number: signal.Signals) -> None:
    stage = make_stage()
    process = start(stage, "local", steps=LONG)
    progress = wait_until_counting(stage)
    process.send_signal(number)
    code, output = end(process)
    assert code == 1
    assert "Traceback" not in output
    assert progress["work"] == str(stage.path)
    assert read_json(stage.failure)["error"] == "Interrupted"
    assert "run kd-submit again to go on" in read_json(stage.failure)["message"]
    handed_over = saved(stage)
    code, output = end(start(stage, "local", steps=handed_over + 5))
    assert code == 0, output
    assert read_json(stage.result)["first"] == handed_over
    assert not stage.failure.exists()


def test_a_killed_job_goes_on_from_its_last_durable_state(
    make_stage: MakeStage, launch: Callable[..., None], start: Start, folder: Path
) -> None:
    launch()
    stage = make_stage()
    process = start(stage, steps=LONG)
    wait_until_counting(stage, after=6)
    process.kill()
    end(process)
    durable = saved(stage)
    assert durable >= 5
    assert len(os.listdir(folder / "scratch" / "15")) == 1
    code, output = end(start(stage, steps=durable + 5))
    assert code == 0, output
    result = read_json(stage.result)
    assert (result["first"], result["job"]["restarts"]) == (durable, 1)
    assert not list((folder / "scratch").glob("15/kd-*"))


def test_a_second_copy_is_turned_away_and_harms_nothing(
    make_stage: MakeStage, launch: Callable[..., None], start: Start
) -> None:
    launch()
    stage = make_stage()
    first = start(stage, steps=LONG)
    wait_until_counting(stage)
    code, output = end(start(stage, SLURM_ARRAY_TASK_ID="4", SLURM_JOB_ID="16"))
    assert code == 1
    assert "in use already: job 12_3 on " in output
    assert "Traceback" not in output
    assert not stage.failure.exists()
    assert first.poll() is None
    assert read_json(stage.attempt)["job_id"] == "12_3"
    wait_until_counting(stage, after=read_json(stage.progress)["step"])
    first.kill()
    end(first)


def test_the_restarted_job_takes_over_from_a_copy_that_lives_on(
    make_stage: MakeStage, launch: Callable[..., None], start: Start
) -> None:
    launch()
    stage = make_stage()
    lost = start(stage, steps=LONG)  # its node lost contact and Slurm started the job again elsewhere
    wait_until_counting(stage)
    code, output = end(start(stage, steps=20, SLURM_RESTART_COUNT="1"))
    assert code == 0, output
    code, output = end(lost)
    assert code == 1
    assert "a newer attempt of this job has taken over" in output
    assert not stage.failure.exists()
    assert damaged(stage) == []


def test_scratch_that_fills_up_during_training_is_left(
    make_stage: MakeStage, launch: Callable[..., None], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = small_disk / "15"
    base.mkdir()
    launch(scratch=[str(base)])
    stage = make_stage()
    monkeypatch.setattr("slurm.job.payload.RESERVE_BYTES", 100 << 10)
    works: list[Path] = []

    def write_much(context: StageContext) -> dict[str, Any]:
        works.append(context.work)
        (context.work / "checkpoint").mkdir(exist_ok=True)
        (context.work / WEIGHTS).write_bytes(bytes(2 << 20))
        return context.publish([WEIGHTS])

    monkeypatch.setattr(kd.run, "run_stage", write_much)
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    StageJob(stage.path, "slurm")()
    assert [work.is_relative_to(small_disk) for work in works] == [True, False]
    assert (stage.path / WEIGHTS).stat().st_size == 2 << 20
    assert os.listdir(base) == []


def test_a_full_disk_is_told_in_words_even_when_torch_hides_it(
    make_stage: MakeStage,
    launch: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launch(scratch=[])
    stage = make_stage()

    def fail(context: StageContext) -> dict[str, Any]:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    monkeypatch.setattr(kd.run, "run_stage", fail)
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    with pytest.raises(SystemExit):
        StageJob(stage.path, "slurm")()
    assert "Traceback" in capsys.readouterr().err, "with room on the disk it is a bug"
    monkeypatch.setattr("slurm.job.payload.is_full", lambda folder: True)
    with pytest.raises(SystemExit):
        StageJob(stage.path, "slurm")()
    said = capsys.readouterr().err
    assert "the disk is full or your quota is used up" in said
    assert "Traceback" not in said
    failure = read_object(stage.failure) or {}
    assert failure["error"] == "RunError"
    assert "inline_container" in failure["traceback"]


def test_a_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such stage folder; was the run moved or removed"):
        StageJob(tmp_path / "gone", "local")()


def test_a_real_training_that_is_preempted_ends_with_the_weights_of_one_that_was_not(
    folder: Path, launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    training = {"kind": "train", "model": "resnet8", "epochs": 2, "batch_size": 16, "optimizer": optimizer}
    data = {"name": "synthetic", "validation": 16, "train_subset": 64, "test_subset": 16}
    job = Pipeline.model_validate({"pipeline": "test", "data": data, "seeds": [1, 2], "stages": {"teacher": training}})
    stages = [RunFolder(folder / "run").stage(planned.key) for planned in plan_pipeline(job).jobs]
    launch()
    for stage in stages:
        write_json(stage.spec, plan_pipeline(job).jobs[0].spec.to_json())
    monkeypatch.setenv("LOCAL", str(folder / "scratch"))
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    StageJob(stages[0].path, "slurm")()

    asked = itertools.count(1)
    unpatched = StopSignals.stop_requested

    def signal_at_third_step(stop: StopSignals) -> bool:
        if next(asked) == 3:
            os.kill(os.getpid(), signal.SIGUSR2)
        return unpatched(stop)

    requeued: list[str] = []

    def requeue(job_id: str) -> None:
        requeued.append(job_id)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StopSignals, "stop_requested", signal_at_third_step)
    monkeypatch.setattr("slurm.job.payload.requeue_job", requeue)
    with pytest.raises(SystemExit):
        StageJob(stages[1].path, "slurm")()
    assert requeued == ["15"]
    assert (stages[1].checkpoint / "resume.pt").is_file()
    assert not stages[1].result.exists()
    StageJob(stages[1].path, "slurm")()
    one, two = (read_object(stage.result) or {} for stage in stages)
    assert one["files"][WEIGHTS] == two["files"][WEIGHTS]
    assert one["test"] == two["test"]
    assert two["attempts"] == 2
    assert os.listdir(folder / "scratch") == []
