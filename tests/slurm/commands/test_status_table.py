"""The table of kd-status."""

from __future__ import annotations

import re

import pytest

from slurm.commands.status_table import _HEADINGS, COLOURS, render, summary
from slurm.state.job_status import PHASES, JobStatus
from tests.slurm.made_runs import REPORT, student, teacher

RUNNING = JobStatus(
    key=teacher(1),
    phase="running",
    epoch=3,
    epochs=10,
    metric="val_accuracy",
    value=0.8125,
    seconds_left=300.0,
    images_per_second=1234.5,
    partition="gpu",
    node="gpu1",
    restarts=2,
    job_id="7_0",
)
QUEUED = JobStatus(key=student(1), phase="queued", why="waits for teacher seed 1 (running)", job_id="8_0")
LONG = JobStatus(key=REPORT, phase="failed", why="word " * 40)


def test_a_row_shows_everything_known_of_a_job() -> None:
    head, row, *_ = render([RUNNING, QUEUED]).splitlines()
    assert head.split() == list(_HEADINGS)
    cells = re.split(r"\s{2,}", row)
    assert cells == [
        "teacher",
        "1",
        "running",
        "3/10",
        "val_accuracy 0.8125",
        "5 min",
        "1234",
        "gpu",
        "gpu1",
        "2",
        "7_0",
    ]


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    head, row = render([QUEUED]).splitlines()
    assert head.split() == ["stage", "seed", "state", "job", "why"]
    assert head.index("job") == row.index("8_0")


def test_a_reason_is_wrapped_beside_the_columns_where_there_is_room() -> None:
    lines = render([LONG], width=100).splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) > 2
    assert {line.index("word") for line in lines[1:]} == {lines[0].index("why")}


def test_in_a_narrow_terminal_the_reason_goes_below() -> None:
    lines = render([RUNNING, LONG], width=90).splitlines()
    assert lines[2].split() == ["report", "failed"]
    assert lines[3].startswith("    word word")
    assert lines[0].endswith("job")
    assert " ".join(lines[3:]).split() == ["word"] * 40


def test_in_a_pipe_nothing_is_wrapped() -> None:
    assert len(render([RUNNING, LONG]).splitlines()) == 3


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_has_a_colour_that_does_not_shift_the_columns(phase: str) -> None:
    state = JobStatus(key=teacher(1), phase=phase, job_id="7_0")  # type: ignore[arg-type]
    coloured = render([state], colour=True)
    assert f"\x1b[{COLOURS[phase]}m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == render([state])


def test_a_run_without_jobs() -> None:
    assert render([]) == "no jobs"


def test_the_summary_counts_phases_in_a_fixed_order() -> None:
    assert summary("trial", [LONG, QUEUED, RUNNING, QUEUED]) == "trial: 1 running, 2 queued, 1 failed of 4 jobs"


def test_texts_of_files_cannot_drive_the_terminal() -> None:
    state = JobStatus(key=teacher(1), phase="failed", why="\x1b]0;PWNED\x07\x1b[2Jall is well", node="\x9b2J")
    shown = render([state])
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert r"\x1b]0;PWNED\x07\x1b[2Jall is well" in shown
