"""Which logs are worth reading, and their ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.rundir.journal import Journal
from slurm.state.logs import newest_logs, srun_error, tail
from tests.slurm.made_runs import MadeRun, make_run, teacher


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    made = make_run(tmp_path)
    made.submit({teacher(1): "7_0", teacher(2): "7_1"})
    return made


def write(path: Path, text: str, written: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (written, written))
    return path


def test_a_job_without_logs_has_none(made: MadeRun) -> None:
    assert newest_logs(made.run, teacher(1)) == []


def test_the_newest_attempt_counts_even_when_it_is_the_tenth(made: MadeRun) -> None:
    folder = made.run.stage(teacher(1)).log
    write(folder / "attempt-9.log", "old", 1000)
    tenth = write(folder / "attempt-10.log", "new", 2000)
    assert newest_logs(made.run, teacher(1)) == [tenth]


def test_an_early_death_leaves_the_raw_log_of_that_very_job(made: MadeRun) -> None:
    folder = made.run.submitted("teacher")
    raw = write(folder / "7_0_0_log.out", "module: command not found", 1000)
    write(folder / "7_1_0_log.out", "of seed 2", 1000)
    write(folder / "7_0_0_log.err", "", 1000)
    assert newest_logs(made.run, teacher(1)) == [raw]


def test_a_raw_log_that_repeats_the_attempts_own_is_left_out(made: MadeRun) -> None:
    own = write(made.run.stage(teacher(1)).log / "attempt-1.log", "x", 1000)
    raw = write(made.run.submitted("teacher") / "7_0_0_log.out", "x", 1001)
    assert newest_logs(made.run, teacher(1)) == [own]
    os.utime(raw, (1060, 1060))  # the job was requeued and died before it came to a log of its own
    assert newest_logs(made.run, teacher(1)) == [own, raw]


def test_a_local_job_has_a_log_folder_of_its_own(made: MadeRun) -> None:
    made.submit({teacher(1): "4194304"}, executor="local")
    raw = write(made.run.submitted("teacher") / "seed-1" / "4194304_0_log.out", "x", 1000)
    assert newest_logs(made.run, teacher(1)) == [raw]


def test_what_srun_said_of_a_job_it_could_not_start_is_found(made: MadeRun) -> None:
    submission = Journal(made.run.journal).newest()[teacher(1)]
    assert srun_error(made.run, submission) == ""
    log = made.run.submitted("teacher") / "7_0_0_log.out"
    write(log, "attempt 1: ...\nan ordinary end\n", 1000)
    assert srun_error(made.run, submission) == ""
    said = "srun: error: Unable to create step for job 7: Invalid generic resource (gres) specification"
    write(log, f"{said}\n", 1000)
    assert srun_error(made.run, submission) == said


def test_a_withdrawn_job_still_has_its_log(made: MadeRun) -> None:
    raw = write(made.run.submitted("teacher") / "7_0_0_log.out", "x", 1000)
    made.journal.withdrawn(["7_0"], "kd-cancel")
    assert newest_logs(made.run, teacher(1)) == [raw]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb\nc\n", ["b", "c"]),
        ("a\nb\nc", ["b", "c"]),
        ("only", ["only"]),
        ("", []),
        ("10%\r50%\r100%\ndone\n", ["100%", "done"]),
    ],
)
def test_the_end_of_a_log(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert tail(write(tmp_path / "log", text, 1000), 2) == lines


def test_the_end_of_a_huge_log_that_is_not_all_text(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100 + b"\xff\n" * 1_000_000 + b"the end\n")
    assert tail(path, 2) == ["�", "the end"]
