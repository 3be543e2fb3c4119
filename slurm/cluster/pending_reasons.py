"""Slurm's reasons and endings in words, with what to do about them. Tables only; nothing here asks Slurm anything.

The names are those of squeue's REASON column (https://slurm.schedmd.com/job_reason_codes.html).
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping, Sequence

from kd.durations import rough_duration
from slurm.cluster.job_states import Record

_HELD = "held by an administrator or by Slurm: see scontrol show job, or ask your site"
_TIME_FIX = "lower resources.time (or resources.gpu_type's partition) and run kd-submit again"

REASONS: Mapping[str, str] = {
    "": "queued; Slurm has not looked at it yet",
    "None": "queued; Slurm has not looked at it yet",
    "Priority": "other jobs come first",
    "Resources": "next in line; waits for free GPUs, processors or memory",
    "Dependency": "waits for another job",
    "DependencyNeverSatisfied": "will never run: what it waited for failed; run kd-submit again",
    "JobArrayTaskLimit": "waits for elements of its own array (the limit of how many may run at once)",
    "JobArrayTaskLimitReached": "waits for elements of its own array (the limit of how many may run at once)",
    "JobHeldUser": "held by its owner: scontrol release it",
    "JobHeldAdmin": _HELD,
    "JobHoldMaxRequeue": "held: Slurm put it back too often (MaxBatchRequeue); see its log, then scontrol release it",
    "BeginTime": "starts again at a set time",
    "Cleaning": "requeued; its last run is still being cleaned up",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation",
    "ReservationDeleted": "its reservation was deleted: run kd-cancel, then kd-submit",
    "ReqNodeNotAvail": "the nodes that fit are down, drained or reserved",
    "NodeDown": "a node that it needs is down",
    "FrontEndDown": "Slurm has no front end to start it from",
    "PartitionDown": "its partition takes no jobs now",
    "PartitionInactive": "its partition is switched off: choose another in the cluster profile",
    "PartitionTimeLimit": f"asks for more time than its partition allows: {_TIME_FIX}",
    "PartitionNodeLimit": "asks for more nodes than its partition allows: lower resources.gpus",
    "PartitionConfig": "no node of its partition fits: lower resources (gpus, cpus, memory) and run kd-submit again",
    "AccountNotAllowed": "its account may not use this partition: set account in the cluster profile",
    "QOSNotAllowed": "its QOS may not be used in this partition: set qos in the cluster profile",
    "InvalidAccount": "its account is not known: set account in the cluster profile",
    "InvalidQOS": "its QOS is not known: set qos in the cluster profile",
    "BadConstraints": "no node can ever fit: check resources.gpu_type and resources.gpus",
    "QOSUsageThreshold": "the QOS has used up its share for now",
    "AssociationJobLimit": "your account runs as many jobs as it may",
    "AssociationResourceLimit": "your account uses as much as it may",
    "AssociationTimeLimit": f"your account does not allow so long a job: {_TIME_FIX}",
    "QOSJobLimit": "your QOS runs as many jobs as it may",
    "QOSResourceLimit": "your QOS uses as much as it may",
    "QOSTimeLimit": f"your QOS does not allow so long a job: {_TIME_FIX}",
    "DeadLine": "can no longer end before its deadline",
    "Prolog": "its node is being made ready",
    "SystemFailure": "Slurm had a failure of its own; it tries again",
    "JobLaunchFailure": "could not be launched; Slurm tries again",
}
# Families of names and sentences. The first that matches counts.
PATTERNS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^ReqNodeNotAvail", REASONS["ReqNodeNotAvail"]),
        (r"^Nodes required for job are", "its nodes are down, drained or reserved for jobs that come first"),
        (r"held", "held by Slurm after a failed start: see its log, then scontrol release it"),
        (r"^(QOS|Assoc)\w*Wall\w*PerJob", f"asks for more time than one job may: {_TIME_FIX}"),
        (r"^(QOS|Assoc)\w*PerJob", "asks for more than one job may: lower resources (gpus, cpus, memory)"),
        (r"^(QOS|Assoc)MaxSubmit", "you have as many jobs in the queue as you may"),
        (r"^QOS\w*(Jobs|JobsPerUser|JobsLimit)", "your QOS runs as many jobs as it may"),
        (r"^Assoc\w*Jobs", "your account runs as many jobs as it may"),
        (r"^QOS", "your QOS uses as much as it may; it starts when other jobs of it end"),
        (r"^(Assoc|MaxAssoc)", "your account uses as much as it may; it starts when other jobs of it end"),
        (r"^BurstBuffer", "waits for the burst buffer"),
        (r"^(Block|Power|NoDRAM)", "waits for its nodes to be ready"),
    )
)


def waiting_words(record: Record, now: float) -> str:
    """Return why a job waits: its reason in words, and when it is expected to start where Slurm knows."""
    if record.state != "PENDING":
        return record.meaning.words
    ahead = None if record.start is None or record.start <= now else rough_duration(record.start - now)
    if record.reason == "BeginTime" and ahead:
        return f"{'requeued, starts again' if record.restarts else 'starts'} in {ahead}"
    words = _reason_words(record.reason)
    return f"{words}; expected to start in {ahead}" if ahead else words


def _reason_words(reason: str) -> str:
    known = REASONS.get(reason)
    if known is not None:
        return known
    for pattern, words in PATTERNS:
        if pattern.search(reason):
            return f"{words} ({reason})" if " " not in reason else words
    return f"Slurm says {reason}"


def ended_words(record: Record) -> str:
    """Return how a job ended that left neither a result nor a message."""
    if record.state == "CANCELLED" and record.cancelled_by is not None:
        return f"cancelled by {user_name(record.cancelled_by)}"
    code, _, number = record.exit_code.partition(":")
    if record.state == "FAILED" and record.exit_code == "0:53":
        return "died before it started: its log file could not be opened"
    if record.state == "FAILED" and number not in ("", "0"):
        return f"killed by signal {number}"
    if record.state == "FAILED" and code.isdigit() and int(code) > 128:  # how the shell and srun report it
        return f"killed by signal {int(code) - 128}"
    if record.state == "FAILED" and code not in ("", "0"):
        return f"{record.meaning.words}, exit code {code}"
    return record.meaning.words


def user_name(user_id: str) -> str:
    """Return the name of a user id, or the id where this machine does not know it."""
    try:
        return pwd.getpwuid(int(user_id)).pw_name
    except (KeyError, ValueError):
        return f"user {user_id}"
