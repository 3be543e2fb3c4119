"""The first process is never left waiting for one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.rundir.failure import read_failure
from kd.rundir.folders import StageFolder
from kd.stages.training import follower_watch
from kd.stages.training.follower_watch import FollowerWatch

GIVES_UP = """
import sys
from pathlib import Path
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import JobFacts
from kd.stages.context import in_place
from kd.stages.training.follower_watch import give_up
give_up(in_place(StageFolder(Path(sys.argv[1])), facts=JobFacts(attempt=3, job_id="7")))("process 2 of 2 is gone")
"""


@pytest.fixture
def follower() -> Iterator[subprocess.Popen[str]]:
    """A process that waits."""
    process = subprocess.Popen(["sleep", "300"], text=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("number", "fate"), [(signal.SIGKILL, "ended with code -9"), (signal.SIGSTOP, "was stopped (a debugger, SIGSTOP)")]
)
def test_a_process_that_is_gone_ends_one_that_waits_for_it_within_seconds(
    number: int, fate: str, follower: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_watch, "STOPPED_SECONDS", 0.5)
    monkeypatch.setattr(follower_watch, "GRACE_SECONDS", 0.1)
    given_up: list[str] = []
    ended = threading.Event()
    watch = FollowerWatch([follower], lambda message: (given_up.append(message), ended.set())[0])
    watch.start()
    os.kill(follower.pid, number)
    assert ended.wait(20)
    watch.stop()
    assert given_up == [watch.lost]
    assert given_up[0].startswith(f"process 2 of 2 {fate}")
    assert follower.wait(5) == -signal.SIGKILL


def test_a_first_process_that_notices_by_itself_is_left_to_say_so(follower: subprocess.Popen[str]) -> None:
    given_up: list[str] = []
    watch = FollowerWatch([follower], given_up.append)
    watch.start()
    follower.kill()
    follower.wait()
    watch.stop()
    assert given_up == []


def test_giving_up_leaves_failure_json_and_a_line(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", GIVES_UP, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 1
    assert "kd: process 2 of 2 is gone" in answer.stderr
    failure = read_failure(StageFolder(tmp_path))
    assert failure is not None
    assert (failure.message, failure.attempt, failure.job_id) == ("process 2 of 2 is gone", 3, "7")
