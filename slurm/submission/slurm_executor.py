"""Slurm: jobs are sent in one transaction, asked about with squeue and sacct, and cancelled with scancel."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from kd.errors import ClusterError
from kd.rundir.folders import JobKey
from kd.rundir.job_evidence import Sent
from kd.rundir.job_state import NOT_ASKED, Answer
from kd.rundir.journal import Submission
from slurm.cluster import slurm_commands
from slurm.cluster.job_states import Record, query
from slurm.cluster.pending_reasons import ended_words, waiting_words
from slurm.cluster.which_cluster import on_cluster
from slurm.state.logs import srun_error
from slurm.submission.job_identity import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from slurm.submission.order import Order
    from slurm.submission.resume import StartingPoint


class SlurmExecutor:
    """Runs jobs on a Slurm cluster; see slurm.submission.executors.Executor."""

    name = "slurm"
    job_word = "job"
    is_cluster = True

    def send(self, order: Order, start: StartingPoint, report: Callable[[str], None]) -> int:
        """Submit the pending jobs, each where it is expected to finish first, and report why there."""
        from slurm.submission.fault_points import fault_point
        from slurm.submission.placed_requests import place_pending
        from slurm.submission.transaction import submit

        if not shutil.which("sbatch"):
            raise ClusterError("no sbatch here: log in to the cluster, or use --executor local or --dry-run")
        if start.pending:
            require_venv(order.profile.venv)
        requests = place_pending(order, start, report)
        fault_point("before-sending")
        for key, job_id in submit(requests, order.run, start.live).items():
            report(f"submitted {key} as {job_id}")
        return 0

    def ask(self, sent: Sequence[Sent], *, accounting: bool) -> list[Answer]:
        """Ask squeue once about all jobs, and sacct once about those that have left the queue."""
        records: dict[tuple[str, str], Record] = {}
        for cluster in {each.submission.cluster for each in sent}:
            ids = {each.submission.job_id for each in sent if each.submission.cluster == cluster}
            with on_cluster(cluster):
                found = query(ids, accounting=accounting)
            records.update({(cluster, job_id): record for job_id, record in found.items()})
        now = time.time()
        return [_answer(each, records.get((each.submission.cluster, each.submission.job_id)), now) for each in sent]

    def cancel(self, doomed: Mapping[JobKey, Submission], alive: Mapping[JobKey, Submission]) -> dict[JobKey, str]:
        """Hand the doomed to scancel in one call."""
        for cluster in {found.cluster for found in doomed.values()}:
            with on_cluster(cluster):
                slurm_commands.cancel(scancel_ids(_ids(doomed, cluster), _ids(alive, cluster)))
        return {}


def require_venv(venv: str | None) -> None:
    """Raise ClusterError when the profile's virtual environment is not there; one that jobs alone can name may be."""
    path = os.path.expandvars(venv or "")
    if path and "$" not in path and not os.path.isfile(f"{path}/bin/activate"):
        raise ClusterError(
            f"the cluster profile's venv: {path}/bin/activate does not exist; make it, or mend the profile"
        )


def scancel_ids(doomed: Iterable[str], alive: Iterable[str]) -> list[str]:
    """Return what to hand to scancel: a whole array where nothing else of it is alive, else its single elements."""
    wanted = list(dict.fromkeys(doomed))
    spared = {slurm_commands.whole_jobs([job_id])[0] for job_id in set(alive).difference(wanted)}
    pairs = zip(wanted, (job_id.partition("_")[0] for job_id in wanted), strict=True)
    return list(dict.fromkeys(job_id if base in spared else base for job_id, base in pairs))


def _ids(submissions: Mapping[JobKey, Submission], cluster: str) -> list[str]:
    return [found.job_id for found in submissions.values() if found.cluster == cluster]


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
