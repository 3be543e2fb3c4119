"""Calls of Slurm's own commands, with a time limit and a clean environment. Job ids never pass through a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Sequence

from kd.errors import ClusterError

SECONDS = 60.0
_UNKNOWN = "Invalid job id"
_ENDED = ("already finished", "already completing or completed")
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


def release(ids: Sequence[str], *, just_sent: Collection[str] = ()) -> None:
    """Let held jobs run; those that run or ended already are no error. Raises ClusterError when Slurm refuses one.

    An id that Slurm does not know is of a job that ended long ago, unless it was just sent: that one is held, and must
    be there.
    """
    new = set(whole_jobs(list(just_sent)))
    for chunk in _chunks(whole_jobs(ids)):
        answer = call("scontrol", "release", ",".join(chunk))
        if answer.returncode != 0 and (refused := _refusals(answer.stderr, chunk, new)):
            raise ClusterError(f"scontrol release failed: {_one_line(refused)}")


def _refusals(text: str, asked: Collection[str], new: Collection[str]) -> str:
    """Return scontrol's complaints, less those about jobs that have ended: it goes on after them."""
    if not any(words in text for words in (*_ENDED, _UNKNOWN)):
        return text or "no reason given"
    lines = [line for line in text.splitlines() if not line.startswith(_LAST_LINE)]
    return "\n".join(line for line in lines if not _is_of_an_ended_job(line, asked, new))


def _is_of_an_ended_job(line: str, asked: Collection[str], new: Collection[str]) -> bool:
    if any(words in line for words in _ENDED):
        return True
    named = set(re.findall(r"\d+", line)).intersection(asked) or set(asked)  # a line without an id means any of them
    return _UNKNOWN in line and named.isdisjoint(new)


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs; those that ended already are no error."""
    for chunk in _chunks(list(ids)):
        answer = call("scancel", "--quiet", *chunk)
        if answer.returncode != 0 and _UNKNOWN not in answer.stderr:
            raise ClusterError(f"scancel failed: {_one_line(answer.stderr)}")


def whole_jobs(ids: Sequence[str]) -> list[str]:
    """Return the array ids behind array elements, each once, in order: ``[7_0, 7_1, 9]`` gives ``[7, 9]``."""
    return list(dict.fromkeys(job_id.partition("_")[0] for job_id in ids))


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + IDS_PER_CALL] for start in range(0, len(ids), IDS_PER_CALL)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
