"""What Slurm knows of the jobs that it was sent: squeue and sacct asked once for all of them, in a run's own terms."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal

from kd.rundir.job_evidence import Sent
from kd.rundir.job_state import NOT_ASKED, Answer
from slurm.cluster.job_states import Record, query
from slurm.cluster.pending_reasons import ended_words, waiting_words
from slurm.cluster.which_cluster import on_cluster
from slurm.state.logs import srun_error
from slurm.submission.job_identity import is_ours


def slurm_answers(sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
    """Return how each submission is: one call of squeue per cluster, and one of sacct for what has left the queue."""
    records: dict[tuple[str, str], Record] = {}
    for cluster in {each.submission.cluster for each in sent}:
        ids = {each.submission.job_id for each in sent if each.submission.cluster == cluster}
        with on_cluster(cluster):
            found = query(ids, accounting=accounting)
        records.update({(cluster, job_id): record for job_id, record in found.items()})
    now = time.time()
    return [_answer(each, records.get((each.submission.cluster, each.submission.job_id)), now) for each in sent]


def _answer(sent: Sent, record: Record | None, now: float) -> Answer:
    if record is None and _may_be_hidden(sent):
        return NOT_ASKED
    if record is None or not is_ours(record, sent):
        return Answer(standing="ended", words="ended without a result")
    standing, words = _standing(sent, record, now)
    return Answer(
        standing=standing,
        words=words,
        started=record.start or 0.0,
        waits_for_parents=record.reason.startswith("Dependency"),
        impossible=record.reason == "DependencyNeverSatisfied",
        held=record.reason == "JobHeldUser",
        cancelled=record.state == "CANCELLED",
        partition=record.partition,
        node=record.node,
        restarts=record.restarts or 0,
        state=record.state,
        reason=record.reason,
    )


def _may_be_hidden(sent: Sent) -> bool:
    """Whether a site may show this user nothing of the run's jobs (PrivateData=jobs): they are another user's."""
    return os.getuid() not in (0, sent.run.journal.stat().st_uid)


def _standing(sent: Sent, record: Record, now: float) -> tuple[Literal["waiting", "running", "ended"], str]:
    """Return where a job is, and why it waits or how it ended."""
    if not record.alive:
        return "ended", _ending(sent, record)
    if record.meaning.standing == "waiting":
        return "waiting", waiting_words(record, now)
    return "running", record.meaning.words


def _ending(sent: Sent, record: Record) -> str:
    words = ended_words(record)
    error = srun_error(sent.run, sent.submission) if record.state == "FAILED" else ""
    return f"{words} ({error})" if error else words
