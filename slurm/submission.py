"""Submitting a job graph to Slurm as one transaction: hold, journal, release; roll back on any error.

A kill at any instant leaves held jobs, which never run, and a journal that says what may exist. The next submission of
the run settles both before it sends anything.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from kd.errors import UserError
from kd.rundir import JobKey, RunFolder
from slurm import commands, executors
from slurm.journal import Journal
from slurm.request import Request, run_tag


def submit(requests: Sequence[Request], run: RunFolder, live: Mapping[JobKey, str]) -> dict[JobKey, str]:
    """Send the requests; return the id of every new job. ``live`` are the ids of jobs that wait or run already.

    Nothing runs before everything is journalled. Raises UserError when Slurm refuses; then nothing new is left behind.
    """
    journal = Journal(run.journal)
    ids = dict(live)
    new: dict[JobKey, str] = {}
    try:
        for request in requests:
            journal.intend(request.token, [job.key for job in request.jobs])
            run.submitted(request.stage).mkdir(parents=True, exist_ok=True)
            sent = executors.send(request, run, ids)
            journal.submitted(request.token, "slurm", sent)
            ids.update(sent)
            new.update(sent)
        held = _held(journal)
        commands.release(held)
        journal.released(held)
    except BaseException as error:
        _roll_back(run, journal, list(new.values()), error)
        raise
    return new


def settle(run: RunFolder) -> list[str]:
    """Cancel what an interrupted submission may have left: jobs whose ids were never written down. Return their ids.

    They are held, so none of them ever ran; the jobs they stood for are submitted again.
    """
    journal = Journal(run.journal)
    open_tokens = set(journal.open_intents())
    if not open_tokens:
        return []
    orphans = [job_id for job_id, token in _queued_tokens(run).items() if token in open_tokens]
    if orphans:
        commands.cancel(orphans)
    for token in sorted(open_tokens):
        journal.append("settled", token=token)
    return orphans


def _queued_tokens(run: RunFolder) -> dict[str, str]:
    """Return the run's queued jobs: array or job id to the token in its comment."""
    answer = commands.call("squeue", "--noheader", "--me", "--format=%A|%k")
    pairs = (line.split("|", 1) for line in answer.stdout.splitlines() if "|" in line)
    return {job_id.strip(): token.strip() for job_id, token in pairs if token.strip().startswith(run_tag(run) + ":")}


def _held(journal: Journal) -> list[str]:
    """Return the ids that were submitted and not yet released, also by an earlier submission that was killed."""
    return [found.job_id for found in journal.submissions().values() if not found.released]


def _roll_back(run: RunFolder, journal: Journal, ids: list[str], error: BaseException) -> None:
    """Cancel what this submission made. What cannot be cancelled stays held and is settled next time."""
    why = str(error) if isinstance(error, UserError) else type(error).__name__
    try:
        if ids:
            commands.cancel(commands.whole_jobs(ids))
            journal.withdrawn(ids, f"rolled back: {why}")
        settle(run)
    except UserError as second:
        left = "the held jobs never run, and the next kd-submit of this run removes them"
        print(f"roll-back incomplete: {second}; {left}", file=sys.stderr)
