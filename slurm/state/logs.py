"""The newest logs of a job: its attempt's own, and Slurm's raw one, which is all that an early death leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kd.rundir.bounded_json import open_regular
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal, Submission

TAIL_BYTES = 512 * 1024  # read from the end of a log, however long it is
LAST_LINES = 5
SAME_SECONDS = 5.0  # the raw log repeats what the attempt's own has; it is news when it was written later


def newest_logs(run: RunFolder, key: JobKey) -> list[Path]:
    """Return the logs worth reading of a job's newest attempt: its own, then raw ones that go on after it."""
    own = sorted(_existing(run.stage(key).attempt_logs()), key=_written)[-1:]
    until = _written(own[0]) + SAME_SECONDS if own else 0.0
    return [*own, *(path for path in _raw_logs(run, key) if path.stat().st_size and _written(path) > until)]


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a file. Of a progress bar that rewrote its line, the last state counts."""
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        text = file.read(TAIL_BYTES).decode(errors="replace")
    return [line.rstrip().rpartition("\r")[2] for line in text.removesuffix("\n").split("\n")][-lines:] if text else []


def srun_error(run: RunFolder, submission: Submission) -> str:
    """Return srun's last error where it could not start a job's process, or nothing."""
    log = run.submitted(submission.key.stage) / f"{submission.job_id}_0_log.out"
    errors = [line for line in tail(log, LAST_LINES) if line.startswith("srun: error:")] if log.is_file() else []
    return errors[-1] if errors else ""


def _raw_logs(run: RunFolder, key: JobKey) -> list[Path]:
    """Return the logs that submitit has Slurm or a local controller write: ``<job id>_<task>_log.out``, ``.err``."""
    submission = Journal(run.journal).newest().get(key)
    if submission is None:
        return []
    folder = run.submitted(key.stage)
    folders = (folder, run.submitted_alone(key))
    return sorted(path for each in folders for path in _existing(each.glob(f"{submission.job_id}_*_log.*")))


def _existing(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def _written(path: Path) -> float:
    return path.stat().st_mtime
