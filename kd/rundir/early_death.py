"""Jobs that died before Python ran: no module, no virtual environment. Their scheduler's raw log is all they leave.

The job script prints ``MARK`` when its preparation fails, so that the log itself tells that the job has ended.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from kd.rundir.bounded_json import open_regular
from kd.rundir.folders import RunFolder
from kd.rundir.journal import Submission

MARK = "kd: the job ended before Python ran"
_END_BYTES = 8192
_LINES = 20
_LONGEST = 240  # characters of a table's cell
_COMPLAINT = re.compile(r"error|not found|no such|cannot|could not|unable|denied|refus|fail|unknown|invalid", re.I)


def early_death(run: RunFolder, submission: Submission) -> str:
    """Return the last words of a job that died before Python ran, or nothing where it did not."""
    lines = _last_lines(raw_log(run, submission))
    if not lines or not lines[-1].startswith(MARK):
        return ""
    said = lines[:-1]
    start = next((index for index, line in enumerate(said) if _COMPLAINT.search(line)), max(0, len(said) - 1))
    words = " ".join(said[start:])
    ending = lines[-1].removeprefix(MARK).strip(" ,")
    return f"died before Python ran ({ending}): {words[:_LONGEST]}" if words else f"{lines[-1]}"


def raw_log(run: RunFolder, submission: Submission) -> Path:
    """Return the file that Slurm writes a job's output to (submitit's name for it)."""
    return run.submitted(submission.key.stage) / f"{submission.job_id}_0_log.out"


def _last_lines(log: Path) -> list[str]:
    """Return the last lines that hold anything."""
    try:
        with open_regular(log) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END_BYTES))
            text = file.read().decode(errors="replace")
    except (OSError, ValueError):
        return []
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line][-_LINES:]
