"""A process is known by more than its id."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from kd.rundir import process_identity
from kd.rundir.process_identity import describe


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_this_process_is_alive_and_here() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert me.here
    assert me.alive


def test_another_process_with_the_same_id_is_not_taken_for_it(sleeper: subprocess.Popen[bytes]) -> None:
    process = describe(sleeper.pid)
    assert process is not None
    later = replace(process, started=process.started + "1")
    assert not later.alive
    assert not later.terminate()
    assert sleeper.poll() is None


def test_a_process_of_another_machine_is_never_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    process = describe(sleeper.pid)
    assert process is not None
    elsewhere = replace(process, host="another-host")
    assert not elsewhere.here
    assert not elsewhere.terminate()
    assert sleeper.poll() is None


def test_terminate_ends_it_once(sleeper: subprocess.Popen[bytes]) -> None:
    process = describe(sleeper.pid)
    assert process is not None
    assert process.terminate()
    sleeper.wait(timeout=30)
    assert not process.alive
    assert not process.terminate()


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, but not reaped
        assert describe(child.pid) is None


def test_without_proc_ps_is_asked(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    ps = folder / "ps"
    ps.write_text(f'#!/bin/sh\n[ "$4" = {sleeper.pid} ] && echo "Ss   Fri Nov 20 13:00:00 2026"\n')
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(process_identity, "PROC", tmp_path / "no-proc")
    process = describe(sleeper.pid)
    assert process is not None
    assert process.started == "Fri Nov 20 13:00:00 2026"
    assert process.alive
    assert describe(sleeper.pid + 1) is None
