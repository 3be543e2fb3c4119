"""The last words of jobs that died before Python ran, from Slurm's raw log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.rundir.early_death import MARK, early_death, raw_log
from kd.rundir.job_evidence import ask_processes, gather, moment_of
from kd.rundir.job_state import decide_all
from slurm.state.planned_jobs import read_jobs
from tests.slurm.made_runs import MadeRun, make_run, teacher

LMOD = """Lmod has detected the following error: The following module(s) are unknown:
"NoSuchModule/1.0"

Please check the spelling or version number.
"""


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    made = make_run(tmp_path)
    made.submit({teacher(1): "7"})
    return made


def last_words(made: MadeRun, log: str) -> str:
    submission = made.journal.newest()[teacher(1)]
    path = raw_log(made.run, submission)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(log)
    return early_death(made.run, submission)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("line 20: module: command not found\n", "line 20: module: command not found"),
        (f"welcome to gpu1\n{LMOD}", 'module(s) are unknown: "NoSuchModule/1.0" Please check'),
        ("one\nbad luck\n", "(exit code 127): bad luck"),
        ("", "the job ended before Python ran, exit code 127"),
    ],
)
def test_the_log_says_what_killed_it(made: MadeRun, said: str, words: str) -> None:
    assert words in last_words(made, f"{said}{MARK}, exit code 127\n")


@pytest.mark.parametrize("log", ["", "module: command not found\n", f"{MARK}, exit code 1\nattempt 2: begins\n"])
def test_a_log_that_goes_on_is_of_no_dead_job(made: MadeRun, log: str) -> None:
    assert last_words(made, log) == ""


def test_the_report_needs_no_scheduler_to_know_of_it(made: MadeRun) -> None:
    last_words(made, f"module: command not found\n{MARK}, exit code 127\n")
    jobs = read_jobs(made.run)
    state = decide_all(jobs, gather(made.run, jobs, ask_processes), moment_of(made.run))[teacher(1)]
    assert state.phase == "failed"
    assert "module: command not found" in state.why


def test_a_pipe_in_the_place_of_a_log_keeps_nobody_waiting(made: MadeRun) -> None:
    submission = made.journal.newest()[teacher(1)]
    path = raw_log(made.run, submission)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert early_death(made.run, submission) == ""
