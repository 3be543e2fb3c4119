"""Attempt logs: one per attempt, complete at any instant, and never the reason of a failure."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kd.rundir.folders import StageFolder
from slurm.job.attempt_log import attempt_log


def test_both_streams_go_to_the_console_and_the_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with attempt_log(StageFolder(folder), "job 7 on gpu1") as number:
        print("one\ntwo")
        print("ünï", file=sys.stderr)
        so_far = (folder / "log" / "attempt-1.log").read_text()
    assert number == 1
    assert so_far.startswith("attempt 1: job 7 on gpu1, ")
    assert so_far.splitlines()[1:] == ["one", "two", "ünï"]
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1:] == ["one", "two"]
    assert shown.err == "ünï\n"
    print("afterwards")
    assert "afterwards" not in (folder / "log" / "attempt-1.log").read_text()


def test_every_attempt_has_its_own_log(tmp_path: Path) -> None:
    with attempt_log(StageFolder(tmp_path), "a") as first, attempt_log(StageFolder(tmp_path), "b") as second:
        print("inner")
    assert (first, second) == (1, 2)
    assert sorted(os.listdir(tmp_path / "log")) == ["attempt-1.log", "attempt-2.log"]


def test_a_killed_process_leaves_what_it_said(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from slurm.job.attempt_log import attempt_log\n"
        "from kd.rundir.folders import StageFolder\n"
        "with attempt_log(StageFolder(Path(sys.argv[1])), 'x'):\n    print('last words'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -9
    assert (tmp_path / "log" / "attempt-1.log").read_text().endswith("last words\n")


def test_a_crash_of_the_interpreter_is_in_the_log(tmp_path: Path) -> None:
    program = (
        "import ctypes, sys; from pathlib import Path; from slurm.job.attempt_log import attempt_log\n"
        "from kd.rundir.folders import StageFolder\n"
        "with attempt_log(StageFolder(Path(sys.argv[1])), 'x'):\n    ctypes.string_at(0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -11
    assert "Segmentation fault" in (tmp_path / "log" / "attempt-1.log").read_text()


def test_a_full_disk_does_not_stop_the_job(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with attempt_log(StageFolder(small_disk), "x"):
        (small_disk / "filled").write_bytes(bytes((1 << 20) - (64 << 10)))
        for _ in range(40):
            print("line " * 1000)
    assert capsys.readouterr().out.count("line") == 40_000
    assert (small_disk / "log" / "attempt-1.log").stat().st_size < 200_000


def test_a_console_with_few_letters_does_not_stop_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    with attempt_log(StageFolder(tmp_path), "x"):
        print("名")
    assert b"\\u540d" in console.buffer.getvalue()  # type: ignore[attr-defined]
    assert (tmp_path / "log" / "attempt-1.log").read_text().endswith("名\n")
