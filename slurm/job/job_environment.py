"""Which Slurm job this process is, from its environment (sbatch manual page, OUTPUT ENVIRONMENT VARIABLES)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from kd.rundir.claim import Claimant

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobIdentity(Claimant):
    """One job as Slurm names it; all None and zero outside Slurm.

    ``job_id`` is what people and ``scontrol`` use (``123`` or, for an array task, ``123_4``); ``raw_id`` is
    unique to one task and is what sites put into the names of per-job folders. ``restarts`` counts Slurm's
    restarts of this job.
    """

    raw_id: str | None = None
    partition: str | None = None


def job_identity(environment: Mapping[str, str]) -> JobIdentity:
    """Read the job's identity from its environment."""
    raw = environment.get("SLURM_JOB_ID")
    if not raw:
        return JobIdentity()
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return JobIdentity(
        job_id=f"{array}_{task}" if array and task else raw,
        raw_id=raw,
        restarts=int(environment.get("SLURM_RESTART_COUNT") or 0),  # unset on the first run
        partition=_granted_partition(raw, environment.get("SLURM_JOB_PARTITION")),
    )


def _granted_partition(raw_id: str, asked: str | None) -> str | None:
    """Return the partition that a job runs in: its environment names all that were asked for, as in ``a,b``.

    None where Slurm does not answer: a list is not where a job ran.
    """
    if asked is None or "," not in asked:
        return asked
    command = ["squeue", "--noheader", f"--jobs={raw_id}", "--format=%P"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    granted = answer.stdout.strip()
    return granted if answer.returncode == 0 and granted in asked.split(",") else None


def set_thread_counts(environment: MutableMapping[str, str]) -> int | None:
    """Give the mathematics libraries as many threads as the job has processors; call it before importing torch.

    A value that leaked in from the login shell is overwritten: the allocation decides. Returns the number, or
    None when Slurm named none.
    """
    count = environment.get("SLURM_CPUS_PER_TASK", "")
    if not count.isdigit() or int(count) < 1:
        return None
    environment.update(dict.fromkeys(_THREAD_VARIABLES, count))
    return int(count)
