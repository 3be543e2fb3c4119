"""Slurm's view of jobs: the output of squeue and sacct read into records, and every state of Slurm in a table.

Reading is pure; ``query`` alone runs commands: one squeue, and one sacct where jobs have left the queue. Text formats
are used because Slurm's JSON differs from version to version (https://slurm.schedmd.com/squeue.html, sacct.html).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kd.errors import ClusterError
from slurm.cluster.slurm_commands import call, whole_jobs
from slurm.cluster.which_cluster import current_cluster

QUERY_SECONDS = 30.0
# A field without a size but with a suffix is never cut. Comment and reason are free text; the last four tell whose job
# it is (slurm.submission.job_identity), and may be missing from the answer of a squeue that is a site's wrapper.
SQUEUE_FIELDS = (
    "JobArrayID",
    "State",
    "Partition",
    "NodeList",
    "StartTime",
    "RestartCnt",
    "exit_code",
    "Comment",
    "Reason",
    "UserName",
    "SubmitTime",
    "Name",
    "WorkDir",
)
SQUEUE_FORMAT = ",".join(f"{field}:|" for field in SQUEUE_FIELDS)
_SHORT_LINE = (
    r"(?P<job_id>[^|]*)\|(?P<state>[^|]*)\|(?P<partition>[^|]*)\|(?P<node>[^|]*)\|(?P<start>[^|]*)\|(?P<restarts>[^|]*)\|"
    r"(?P<status>[^|]*)\|(?P<comment>.*)\|(?P<reason>[^|]*)\|"
)
_WHOSE = r"(?P<user>[^|]*)\|(?P<submitted>\d+-\d+-\d+T[\d:]+|N/A)\|(?P<name>[^|]*)\|(?P<folder>.*)\|"
_SQUEUE_LINES = (re.compile(_SHORT_LINE + _WHOSE), re.compile(_SHORT_LINE))
SACCT_FIELDS = ("JobID", "State", "ExitCode", "Submit", "Start", "Partition", "NodeList", "Reason")
NOTHING = ("", "(null)", "None assigned", "N/A", "Unknown", "n/a")

Standing = Literal["waiting", "running", "done", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state of Slurm means here: whether the job waits, runs or has ended, and words for people."""

    standing: Standing
    words: str


# https://slurm.schedmd.com/job_state_codes.html: base states, then flags that are shown instead of them.
STATES: Mapping[str, Meaning] = {
    "PENDING": Meaning("waiting", "waits in the queue"),
    "RUNNING": Meaning("running", ""),
    "SUSPENDED": Meaning("running", "suspended by Slurm; it goes on when its node is free again"),
    "COMPLETED": Meaning("done", "ended without a result"),
    "CANCELLED": Meaning("failed", "cancelled"),
    "FAILED": Meaning("failed", "ended without a result"),
    "TIMEOUT": Meaning("failed", "hit its time limit; run kd-submit again to go on from its checkpoint"),
    "NODE_FAIL": Meaning("failed", "its node failed; run kd-submit again to go on from its checkpoint"),
    "PREEMPTED": Meaning("failed", "preempted for good; run kd-submit again to go on from its checkpoint"),
    "BOOT_FAIL": Meaning("failed", "its node did not boot; run kd-submit again"),
    "DEADLINE": Meaning("failed", "Slurm gave it up: it could not end before its deadline"),
    "OUT_OF_MEMORY": Meaning("failed", "ran out of memory: raise resources.memory or lower batch_size"),
    "LAUNCH_FAILED": Meaning("failed", "could not be launched on its node"),
    "RECONFIG_FAIL": Meaning("failed", "its node could not be set up"),
    "COMPLETING": Meaning("running", "is ending"),
    "CONFIGURING": Meaning("running", "its node is being made ready"),
    "EXPEDITING": Meaning("waiting", "goes back to the queue, first in line"),
    "POWER_UP_NODE": Meaning("running", "its node is being switched on"),
    "RESIZING": Meaning("running", "is being resized"),
    "SIGNALING": Meaning("running", "is being signalled"),
    "STAGE_OUT": Meaning("running", "its burst buffer is being copied out"),
    "STOPPED": Meaning("running", "stopped by a signal; it keeps its node"),
    "UPDATE_DB": Meaning("running", "is being recorded"),
    "REQUEUED": Meaning("waiting", "goes back to the queue"),
    "REQUEUE_FED": Meaning("waiting", "goes back to the queue"),
    "REQUEUE_HOLD": Meaning("waiting", "went back to the queue and is held there: scontrol release it"),
    "SPECIAL_EXIT": Meaning("waiting", "went back to the queue and is held there: scontrol release it"),
    "RESV_DEL_HOLD": Meaning("waiting", "held, because its reservation was deleted"),
    "REVOKED": Meaning("gone", "moved to another cluster of the federation"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One Slurm job, as squeue or sacct shows it."""

    job_id: str  # 123, 123_4, or 123_[…] for the elements of an array that have no record of their own
    state: str
    reason: str = ""
    partition: str | None = None
    node: str | None = None
    start: float | None = None  # Unix time; of a waiting job: when it is expected to start
    restarts: int | None = None
    comment: str = ""
    exit_code: str = ""  # "3:0" or, of a job killed by a signal, "0:9"
    cancelled_by: str | None = None  # a user id
    submitted: str = ""
    user: str = ""
    name: str = ""
    folder: str = ""  # its working folder

    @property
    def meaning(self) -> Meaning:
        """The state's meaning; a state that no table knows counts as running."""
        # To take a job for dead that lives would run it twice.
        return STATES.get(self.state, Meaning("running", f"Slurm calls it {self.state}"))

    @property
    def alive(self) -> bool:
        """Whether Slurm still has the job, waiting or running."""
        return self.meaning.standing in ("waiting", "running")


def query(ids: Collection[str], *, accounting: bool = True) -> dict[str, Record]:
    """Ask Slurm about jobs; those it no longer knows are missing from the answer.

    One squeue call, and one sacct call for jobs that have left the queue, if there is accounting. squeue wins: only it
    knows that a job whose node failed waits again. Raises ClusterError when squeue is absent or does not answer;
    without sacct the answer is merely shorter.
    """
    if not ids:
        return {}
    queue = parse_squeue(_squeue(",".join(whole_jobs(sorted(ids)))))
    found = {job_id: record for job_id in ids if (record := lookup(queue, job_id))}
    purged = [job_id for job_id in ids if job_id not in found]
    if purged and accounting:
        recorded = parse_sacct(_sacct(",".join(whole_jobs(sorted(purged)))))
        # Accounting may call a job running long after it vanished from the queue: it lags, or lost its end.
        ended = {key: record for key, record in recorded.items() if not record.alive}
        found.update({job_id: record for job_id in purged if (record := lookup(ended, job_id))})
    # squeue shows an array that was cancelled before it was split under its bare id.
    whole = {job_id: record for job_id in purged if (record := queue.get(whole_jobs([job_id])[0]))}
    return {**whole, **found}


def lookup(records: Mapping[str, Record], job_id: str) -> Record | None:
    """Return the record of a job; of an array element that has none, that of the unsplit array."""
    base = job_id.partition("_")[0]
    return records.get(job_id) or (records.get(f"{base}_[") if base != job_id else None)


def mine() -> dict[str, Record]:
    """Return this user's jobs in the queue. Raises ClusterError when Slurm does not answer."""
    answer = call("squeue", "--noheader", "--me", "--array", f"--Format={SQUEUE_FORMAT}", seconds=QUERY_SECONDS)
    if answer.returncode != 0:
        raise ClusterError(f"squeue does not answer: {' '.join(answer.stderr.split())}")
    return parse_squeue(answer.stdout)


def count_mine(whose: str) -> int:
    """Return how many jobs this user has in the queue under ``account NAME`` or ``QOS NAME``, elements one by one.

    Nothing where squeue does not answer: sbatch then refuses by itself.
    """
    kind, _, name = whose.partition(" ")
    if not name:
        return 0
    command = ("squeue", "--noheader", "--me", "--array", f"--{kind.lower()}={name}", "--format=%i")
    answer = call(*command, seconds=QUERY_SECONDS)
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return sum(line.strip()[:1].isdigit() for line in lines)


def parse_squeue(text: str) -> dict[str, Record]:
    """Read ``squeue --noheader --array --states=all --Format=SQUEUE_FORMAT``."""
    records: dict[str, Record] = {}
    for line in text.splitlines():
        found = next((found for form in _SQUEUE_LINES if (found := form.fullmatch(line.rstrip()))), None)
        if found is None:
            continue  # "CLUSTER: name", a banner
        part = {name: (text or "").strip() for name, text in found.groupdict().items()}
        records[_key(part["job_id"])] = Record(
            job_id=part["job_id"],
            state=part["state"],
            reason=_given(part["reason"]) or "",
            partition=_given(part["partition"]),
            node=_given(part["node"]),
            start=parse_time(part["start"]),
            restarts=int(part["restarts"]) if part["restarts"].isdigit() else None,
            comment=_given(part["comment"]) or "",
            exit_code=_exit_code(part["status"]),
            submitted=part.get("submitted", ""),
            user=part.get("user", ""),
            name=part.get("name", ""),
            folder=part.get("folder", ""),
        )
    return records


def parse_sacct(text: str) -> dict[str, Record]:
    """Read ``sacct --allocations --noheader --parsable2 --format=SACCT_FIELDS``; of several records, the newest."""
    records: dict[str, Record] = {}
    for line in text.splitlines():
        parts = line.split("|", len(SACCT_FIELDS) - 1)
        if len(parts) < len(SACCT_FIELDS):
            continue
        job_id, state, exit_code, submitted, start, partition, node, reason = (part.strip() for part in parts)
        words = state.split()  # "CANCELLED by 1000"
        older = records.get(_key(job_id))
        if not words or (older is not None and older.submitted > submitted):
            continue
        records[_key(job_id)] = Record(
            job_id=job_id,
            state=words[0].rstrip("+"),
            reason=_given(reason) or "",
            partition=_given(partition),
            node=_given(node),
            start=parse_time(start),
            exit_code=exit_code,
            cancelled_by=words[2] if len(words) == 3 else None,
            submitted=submitted,
        )
    return records


def parse_time(text: str) -> float | None:
    """Return the Unix time of ``2026-11-20T13:40:38`` (local, as Slurm prints it) or of seconds, else None."""
    if text.isdigit():
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None  # N/A, Unknown, or a format of the user's own


def _exit_code(status: str) -> str:
    """Return ``code:signal`` of a wait status (wait(2)), as squeue prints it; sacct's form stays as it is."""
    if not status.isdigit():
        return status
    signal = int(status) & 0x7F
    return f"0:{signal}" if signal else f"{int(status) >> 8}:0"


def _key(job_id: str) -> str:
    """``123_[0-3%2]`` means every element of 123 that has no record of its own."""
    return job_id.partition("[")[0] + "[" if "[" in job_id else job_id


def _given(text: str) -> str | None:
    return None if text in NOTHING else text


def _squeue(ids: str) -> str:
    command = ("squeue", "--noheader", "--all", "--array", "--states=all", f"--Format={SQUEUE_FORMAT}", "--jobs", ids)
    answer = call(*command, seconds=QUERY_SECONDS)
    if answer.returncode == 0:
        return answer.stdout
    if "Invalid job id" in answer.stderr:  # all of them have left the queue
        return ""
    raise ClusterError(f"squeue does not answer: {' '.join(answer.stderr.split()) or f'exit code {answer.returncode}'}")


def _sacct(ids: str) -> str:
    """Return sacct's answer; nothing where there is no accounting or it does not answer: squeue alone decides then."""
    fields = f"--format={','.join(SACCT_FIELDS)}"
    try:
        cluster = current_cluster()
        place = (f"--clusters={cluster}",) if cluster else ()  # sacct alone does not obey the variable
        command = ("sacct", *place, "--allocations", "--noheader", "--parsable2", fields, "--jobs", ids)
        answer = call(*command, seconds=QUERY_SECONDS)
    except ClusterError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""
