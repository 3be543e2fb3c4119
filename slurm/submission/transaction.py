"""Submitting a job graph to Slurm as one transaction: hold, journal, release; roll back on any error.

A kill at any instant leaves held jobs, which never run, and a journal of what may exist. The next submission of
the run clears both before it sends anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kd.errors import ClusterError, RunError, UserError
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.job_evidence import Sent
from kd.rundir.journal import Journal
from kd.rundir.journal_lines import Intent
from slurm.cluster import slurm_commands
from slurm.cluster.job_states import mine, query
from slurm.cluster.which_cluster import current_cluster, on_cluster
from slurm.submission import submitit_calls
from slurm.submission.code_checks import pin_code
from slurm.submission.fault_points import fault_point
from slurm.submission.job_identity import belongs_to_run, is_ours
from slurm.submission.request import Request, job_name, run_tag
from slurm.submission.slurm_executor import SlurmExecutor


def submit(requests: Sequence[Request], run: RunFolder, live: Mapping[JobKey, str]) -> dict[JobKey, str]:
    """Send the requests; return the id of every new job. ``live`` are the ids of jobs that wait or run already.

    Nothing runs before everything is journalled. Raises UserError when Slurm refuses; then nothing new is left behind.
    """
    journal = Journal(run.journal)
    ids = dict(live)
    new: dict[JobKey, str] = {}
    cluster = current_cluster()
    try:
        for request in requests:
            journal.intend(request.token, [job.key for job in request.jobs], cluster)
            fault_point("after-intent", request.name)
            _own_folder(run.submitted(request.stage))
            pin_code(run, [run.submitted(request.stage)])
            sent = submitit_calls.send(request, run, ids)
            fault_point("after-sbatch", request.name)
            journal.submitted(request.token, SlurmExecutor.name, sent, cluster)
            fault_point("after-submitted", request.name)
            ids.update(sent)
            new.update(sent)
        _read_back(run, journal, new)
        held = _held(journal)
        slurm_commands.release(held, just_sent=new.values())
        fault_point("after-release")
        journal.released(held)
        fault_point("after-released")
    except BaseException as error:
        _roll_back(run, journal, list(new.values()), error)
        raise
    return new


def cancel_orphans(run: RunFolder) -> list[str]:
    """Cancel what an interrupted submission may have left: jobs whose ids were never written down. Return their ids.

    They are held, so none of them ever ran; the jobs they stood for are submitted again. Also found is a job of an
    older submission that Slurm accepted late, after its sbatch had given up.
    """
    journal = Journal(run.journal)
    if not journal.attempts():
        return []
    orphans: list[str] = []
    for cluster in sorted(journal.clusters()):
        with on_cluster(cluster):
            found = sorted(_queued(run, journal) - journal.known_ids(cluster))
            slurm_commands.cancel(found)
        orphans += found
    fault_point("after-cancelling-orphans")
    for token in sorted(journal.open_intents()):
        journal.settled(token)
    return orphans


def _queued(run: RunFolder, journal: Journal) -> set[str]:
    """Return the ids of the run's jobs in the queue; of array elements, the array's.

    Raises ClusterError when Slurm does not answer: it may have jobs that nobody wrote down.
    """
    intents = (line.token for line in journal.lines() if isinstance(line, Intent))
    names = {job_name(run, token.rpartition(":")[0].rpartition(":")[2]) for token in intents}
    records = (record for record in mine().values() if belongs_to_run(record, run.path, run_tag(run), names))
    return set(slurm_commands.whole_jobs([record.job_id for record in records]))


def _read_back(run: RunFolder, journal: Journal, new: Mapping[JobKey, str]) -> None:
    """Look at what was just sent: Slurm must have each job, and as ours. Nothing is released before.

    Raises ClusterError where it has not: sbatch's answer was misread, or the job went to another cluster.
    """
    submissions = journal.newest()
    records = query(set(new.values()), accounting=False)
    for key, job_id in new.items():
        record = records.get(job_id)
        if record is None or not is_ours(record, Sent(run, submissions[key])):
            what = "has no such job" if record is None else f"has another job under that number ({record.name})"
            where = f"cluster {current_cluster()}" if current_cluster() else "squeue"
            raise ClusterError(f"{key}: sbatch's answer was job {job_id}, but {where} {what}; nothing is released")


def _held(journal: Journal) -> list[str]:
    """Return the ids that were submitted and not yet released, also by an earlier submission that was killed."""
    return [found.job_id for found in journal.submissions().values() if not found.released]


def _roll_back(run: RunFolder, journal: Journal, ids: list[str], error: BaseException) -> None:
    """Cancel what this submission made. What cannot be cancelled stays held and is cancelled next time."""
    why = str(error) if isinstance(error, UserError) else type(error).__name__
    try:
        if ids:
            slurm_commands.cancel(slurm_commands.whole_jobs(_ours(run, journal, ids)))
            journal.withdrawn(ids, f"rolled back: {why}")
        cancel_orphans(run)
    except UserError as second:
        left = "the held jobs never run, and the next kd-submit of this run removes them"
        print(f"roll-back incomplete: {second}; {left}", file=sys.stderr)


def _ours(run: RunFolder, journal: Journal, ids: Sequence[str]) -> list[str]:
    """Return those of the ids that are ours in Slurm's eyes: a misread number may be another job's."""
    sent = {found.job_id: found for found in journal.newest().values()}
    records = query(ids, accounting=False)
    return [job_id for job_id in ids if job_id in records and is_ours(records[job_id], Sent(run, sent[job_id]))]


def _own_folder(folder: Path) -> None:
    """Make a folder that nobody else can write to: jobs load pickles from it."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RunError(f"{folder} belongs to somebody else; choose another --results or --run")
    folder.chmod(folder.stat().st_mode & ~0o022)
