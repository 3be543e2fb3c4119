"""The only importer of submitit: renders and sends requests to Slurm, runs in process.

submitit is pinned: rendering uses the function that its own submission uses, so that a dry run cannot lie.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit
from submitit.slurm.slurm import _make_sbatch_string

from kd.errors import ClusterError
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from slurm.submission.debug_executor import DebugExecutor
from slurm.submission.request import Request
from slurm.submission.shell_environment import clean_environment
from slurm.submission.slurm_executor import SlurmExecutor

if TYPE_CHECKING:
    from slurm.job.payload import StageJob


def script_text(request: Request, ids: Mapping[JobKey, str]) -> str:
    """Return the sbatch script of a request, given the ids (or symbols) of the jobs it waits for."""
    count = len(request.jobs)
    return _make_sbatch_string(
        command=f"{request.python} -u -m submitit.core._submit {shlex.quote(str(request.folder))}",
        folder=request.folder,
        map_count=count if count > 1 else None,
        **_parameters(request, ids),
    )


class _Sbatch(submitit.SlurmExecutor):
    """submitit's executor, which would take the first number after the word "job" that sbatch prints."""

    @staticmethod
    def _get_job_id_from_submission_command(string: bytes | str) -> str:
        return job_id_in(string.decode(errors="replace") if isinstance(string, bytes) else string)


def job_id_in(answer: str) -> str:
    """Return the job id in sbatch's answer: that of its last ``Submitted batch job N``, else a number on a line alone.

    A site's sbatch may greet first, with numbers of its own, or print what ``--parsable`` does: ``101``, ``101;other``.
    Raises ClusterError where there is neither.
    """
    for pattern in (r"Submitted batch job (\d+)", r"^\s*(\d+)(?:;\S+)?\s*$"):
        if found := re.findall(pattern, answer, re.M):
            return str(found[-1])
    raise ClusterError(f"its answer names no job: {' '.join(answer.split())!r}")


def send(request: Request, run: RunFolder, ids: Mapping[JobKey, str]) -> dict[JobKey, str]:
    """Submit a request, held; return the job id of each of its jobs.

    Raises ClusterError with Slurm's own words when sbatch refuses.
    """
    executor = _Sbatch(request.folder, python=request.python)
    executor._throttling = 0  # its 0.2 s sleep per call would dominate large plans
    executor.update_parameters(**_parameters(request, ids))
    payloads = [_stage_job(run.stage(job.key), SlurmExecutor.name) for job in request.jobs]
    try:
        with clean_environment():
            jobs = executor.submit_array(payloads)
    except (subprocess.CalledProcessError, RuntimeError, OSError, ClusterError) as error:
        raise ClusterError(f"sbatch refused stage '{request.stage}': {_in_one_line(error)}") from None
    return {planned.key: job.job_id for planned, job in zip(request.jobs, jobs, strict=True)}


def run_debug(folder: StageFolder, logs: Path) -> BaseException | None:
    """Run a stage in this process; return what it raised. No pdb prompt, no second run."""
    logs.mkdir(parents=True, exist_ok=True)
    return submitit.DebugExecutor(logs).submit(_stage_job(folder, DebugExecutor.name)).exception()


def _stage_job(folder: StageFolder, executor: str) -> StageJob:
    """Return what a job runs. Its modules are loaded late: a dry run sends nothing."""
    from slurm.job.payload import StageJob

    return StageJob(folder.path, executor)


def _parameters(request: Request, ids: Mapping[JobKey, str]) -> dict[str, Any]:
    dependency = None if request.edge is None else request.edge.text(ids)
    return {**request.parameters, "dependency": dependency}


def _in_one_line(error: Exception) -> str:
    """Return the scheduler's own words, on one line."""
    output = getattr(error, "stderr", None) or getattr(error, "output", None) or str(error)
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    return " ".join(text.split())
