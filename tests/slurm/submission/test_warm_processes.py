"""Stages forked from one process that has imported torch: what is shared between them, and what is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.process_identity import describe
from slurm.submission.warm_processes import LocalProcess, WarmProcesses
from tests.slurm.launching import wait_until

# The code that the run is frozen with: a payload that does what a stage's folder is called.
PAYLOAD = """
import os, sys, time, random
from pathlib import Path

class StageJob:
    def __init__(self, folder, executor):
        self.folder, self.executor = folder, executor

    def __call__(self):
        print("environment", os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"], flush=True)
        print("parent", os.getppid(), random.random(), Path.cwd() == self.folder.parent, flush=True)
        act = self.folder.name
        if act == "crash":
            os.abort()
        if act == "fail":
            sys.exit(3)
        if act == "sleep":
            time.sleep(300)
        (self.folder / "done").touch()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    for package in ("kd", "slurm/job"):
        (run.code / package).mkdir(parents=True)
    (run.code / "kd/run.py").write_text("def stage_module(kind): raise ImportError(kind)")
    (run.code / "slurm/job/payload.py").write_text(PAYLOAD)
    server = Path(__file__).parents[3] / "slurm" / "job" / "fork_server.py"
    (run.code / "slurm/job/fork_server.py").write_text(server.read_text())
    return run


@pytest.fixture
def processes(run: RunFolder) -> Iterator[WarmProcesses]:
    started = WarmProcesses(run, ["train"], threads=3)
    yield started
    started.close()


def start(processes: WarmProcesses, run: RunFolder, act: str, gpus: tuple[str, ...] = ()) -> LocalProcess:
    folder = run.stage(JobKey("teacher", 1))
    stage = type(folder)(folder.path.parent / act)
    stage.path.mkdir(parents=True, exist_ok=True)
    return processes.start(stage, stage.path.parent, gpus)


def output(run: RunFolder, process: LocalProcess) -> str:
    log = run.stages / "teacher" / f"{process.pid}_0_log.out"
    return log.read_text() if log.exists() else ""


def ended(process: LocalProcess) -> None:
    wait_until(lambda: not process.running(), "the process to end", 20)


def test_each_stage_is_a_process_with_its_own_gpus_log_and_random_numbers(
    processes: WarmProcesses, run: RunFolder
) -> None:
    first, second = start(processes, run, "first", ("2", "GPU-5")), start(processes, run, "second")
    ended(first)
    ended(second)
    assert (run.stages / "teacher/first/done").exists()
    one, two = output(run, first).splitlines(), output(run, second).splitlines()
    assert one[0] == "environment 2,GPU-5 3"
    assert two[0] == "environment  3", "without a GPU it sees none"
    parents, numbers, inside = zip(*(line.split()[1:] for line in (one[1], two[1])), strict=True)
    assert parents[0] == parents[1], "both were forked from one process"
    assert numbers[0] != numbers[1]
    assert inside == ("True", "True")


def test_a_crash_and_a_failure_of_a_stage_leave_the_others_alone(processes: WarmProcesses, run: RunFolder) -> None:
    lasting = start(processes, run, "sleep")
    ended(start(processes, run, "crash"))
    ended(start(processes, run, "fail"))
    assert lasting.running()
    after = start(processes, run, "after")
    ended(after)
    assert (run.stages / "teacher/after/done").exists()
    lasting.signal(signal.SIGKILL)
    ended(lasting)


def test_a_killed_server_takes_no_stage_with_it_and_is_replaced(processes: WarmProcesses, run: RunFolder) -> None:
    lasting = start(processes, run, "sleep")
    wait_until(lambda: "parent" in output(run, lasting), "the first lines", 20)
    server = int(output(run, lasting).splitlines()[1].split()[1])
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: describe(server) is None, "the server to end", 20)
    after = start(processes, run, "after")
    ended(after)
    assert (run.stages / "teacher/after/done").exists()
    assert lasting.running()
    lasting.signal(signal.SIGTERM)
    ended(lasting)


def test_a_server_that_cannot_start_is_explained_with_its_log(run: RunFolder, processes: WarmProcesses) -> None:
    (run.code / "slurm/job/payload.py").write_text("raise SystemExit(7)")
    with pytest.raises(RunError, match=r"ended with code 7; its log: .*fork-server\.log"):
        start(processes, run, "first")


def test_the_server_has_no_second_thread_and_no_cuda_and_gives_each_stage_its_randomness() -> None:
    code = """
import os
from slurm.job.fork_server import _own_randomness, _preload
_preload(["train", "distill", "report"])
import numpy, torch
print(len(os.listdir("/proc/self/task")), torch.cuda.is_initialized())
seen = set()
for _ in range(3):
    _own_randomness()
    seen.add((torch.initial_seed(), numpy.random.random()))
print(len(seen), len({each for pair in seen for each in pair}))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert said.stdout.split() == ["1", "False", "3", "6"], said.stderr
