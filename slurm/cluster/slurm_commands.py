"""Calls of Slurm's own commands, with a time limit and a clean environment. Job ids never pass through a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from kd.errors import ClusterError

SECONDS = 60.0
_ENDED = ("already finished", "already completing or completed", "Invalid job id")
_LAST_LINE = "slurm_suspend error"  # repeats the last job's fault, or "No error"
IDS_PER_CALL = 500  # keeps command lines far below the kernel's limit
# A person's defaults for Slurm's commands: a filter left in SQUEUE_USERS would make live jobs look dead.
FOREIGN_PREFIXES = ("SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_", "SLURM_TIME_FORMAT")


def call(*command: str, seconds: float = SECONDS, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Slurm command and return its answer. Raises ClusterError when it is absent or does not answer in time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, input=text, env=environment, check=False
        )
    except FileNotFoundError:
        raise ClusterError(f"{command[0]}: no such command; is this a Slurm cluster?") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{command[0]} did not answer within {seconds:.0f} s; try again later") from None


def release(ids: Sequence[str]) -> None:
    """Let held jobs run; those that run or ended already are no error. Raises ClusterError when Slurm refuses one."""
    for chunk in _chunks(whole_jobs(ids)):
        answer = call("scontrol", "release", ",".join(chunk))
        if answer.returncode != 0 and (refused := _refusals(answer.stderr)):
            raise ClusterError(f"scontrol release failed: {_one_line(refused)}")


def _refusals(text: str) -> str:
    """Return scontrol's complaints, less those about jobs that have ended: it goes on after them."""
    lines = text.splitlines()
    if not any(words in text for words in _ENDED):
        return text or "no reason given"
    return "\n".join(line for line in lines if not line.startswith(_LAST_LINE) and not any(w in line for w in _ENDED))


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs; those that ended already are no error."""
    for chunk in _chunks(list(ids)):
        answer = call("scancel", "--quiet", *chunk)
        if answer.returncode != 0 and "Invalid job id" not in answer.stderr:
            raise ClusterError(f"scancel failed: {_one_line(answer.stderr)}")


def whole_jobs(ids: Sequence[str]) -> list[str]:
    """Return the array ids behind array elements, each once, in order: ``[7_0, 7_1, 9]`` gives ``[7, 9]``."""
    return list(dict.fromkeys(job_id.partition("_")[0] for job_id in ids))


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + IDS_PER_CALL] for start in range(0, len(ids), IDS_PER_CALL)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
