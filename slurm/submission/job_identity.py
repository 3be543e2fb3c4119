"""Whether a job that Slurm shows is the one that was sent. Sites rewrite comments, names and more, so no single one of
them decides; and a job that lives is never called dead on one of them alone.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from kd.rundir.job_evidence import Sent
from slurm.cluster.job_states import Record, parse_time

COMMENT_PREFIX = "kd:"  # of the comment of every job of ours
SAME_SECONDS = 600.0  # between the journal's clock and Slurm's
ENOUGH = 2  # witnesses that must contradict: a site may well rewrite one


def is_ours(record: Record, sent: Sent) -> bool:
    """Whether Slurm's record is of the job we sent: a cluster that was set up anew gives old ids to other jobs."""
    if sent.submission.token in record.comment:
        return True
    if record.comment.startswith(COMMENT_PREFIX):  # another submission's, word for word
        return False
    return sum(_contradictions(record, sent)) < ENOUGH


def _contradictions(record: Record, sent: Sent) -> Iterator[bool]:
    """Yield whether each witness that is there speaks against it."""
    if record.user:
        yield record.user != owner(sent.run.path)
    if record.folder:
        yield Path(record.folder) != sent.run.path
    if record.name:
        yield not record.name.startswith(f"{sent.run.name}.{sent.submission.key.stage}")
    submitted = parse_time(record.submitted)
    if submitted is not None and not record.restarts:  # a requeue counts as a new submission
        yield abs(submitted - sent.submission.time) > SAME_SECONDS


def owner(path: Path) -> str:
    """Return the name of the user that a file belongs to; of the asking user where it is not to be had."""
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return pwd.getpwuid(os.getuid()).pw_name


def belongs_to_run(record: Record, folder: Path, tag: str, names: set[str]) -> bool:
    """Whether a job of one's own was sent for a run: by its comment or, where a site rewrites that, by place and name.

    ``names`` are the names under which the run's journal meant to send jobs.
    """
    if record.comment.startswith(COMMENT_PREFIX):
        return record.comment.startswith(f"{tag}:")
    return bool(record.folder) and Path(record.folder) == folder and record.name in names
