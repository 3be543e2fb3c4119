"""The only importer of submitit: renders and sends requests to Slurm, starts local processes, runs in process.

submitit is pinned: rendering uses the function that its own submission uses, so that a dry run cannot lie.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit
from submitit.slurm.slurm import _make_sbatch_string

from kd.errors import ClusterError
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from slurm.cluster.which_cluster import VARIABLE
from slurm.submission.debug_executor import DebugExecutor
from slurm.submission.local_executor import LocalExecutor
from slurm.submission.request import Request
from slurm.submission.slurm_executor import SlurmExecutor

if TYPE_CHECKING:
    from slurm.job.payload import StageJob

LOCAL_MINUTES = 60 * 24 * 365  # local jobs have no time limit
# The user's shell must not change what is asked for: SBATCH_* outrank the script's own lines.
FOREIGN_PREFIXES = ("SBATCH_", "SLURM_", "SUBMITIT_", "KD_JOB_")
FOREIGN = ("TMPDIR",)
KEPT = ("SLURM_CONF", VARIABLE)


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


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A stage that runs in a process of this machine."""

    job: submitit.LocalJob[None]

    @property
    def pid(self) -> int:
        """The id of the controlling process."""
        return int(self.job.job_id)

    def running(self) -> bool:
        """Whether it still runs."""
        return not self.job.done()

    def signal(self, number: int) -> None:
        """Send a signal; the controller passes SIGTERM on to the stage."""
        process = self.job._process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def kill(self) -> None:
        """End the stage and its controller now."""
        process = self.job._process
        if process is None or process.poll() is not None:
            return
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for child in children.read_text().split() if children.is_file() else []:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.wait()


def start_local(folder: StageFolder, logs: Path, code: Path, *, threads: int, gpus: Sequence[str]) -> LocalProcess:
    """Start a stage in a process of its own, with so many threads and these GPUs of the machine."""
    logs.mkdir(parents=True, exist_ok=True)
    executor = submitit.LocalExecutor(logs)
    executor.update_parameters(timeout_min=LOCAL_MINUTES, gpus_per_node=len(gpus), stderr_to_stdout=True)
    executor.parameters["visible_gpus"] = tuple(gpus)  # update_parameters refuses UUIDs
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))  # the frozen code comes first
    settings = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": str(threads)}
    with clean_environment(settings), _inside(logs), _deaf_to_interrupts():
        job = executor.submit(_stage_job(folder, LocalExecutor.name))
    assert isinstance(job, submitit.LocalJob)
    return LocalProcess(job)


def run_debug(folder: StageFolder, logs: Path) -> BaseException | None:
    """Run a stage in this process; return what it raised. No pdb prompt, no second run."""
    logs.mkdir(parents=True, exist_ok=True)
    return submitit.DebugExecutor(logs).submit(_stage_job(folder, DebugExecutor.name)).exception()


def _stage_job(folder: StageFolder, executor: str) -> StageJob:
    """Return what a job runs. Its modules are loaded late: a dry run sends nothing."""
    from slurm.job.payload import StageJob

    return StageJob(folder.path, executor)


@contextmanager
def clean_environment(extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """Hide from child processes what the user's shell (or an outer job) set for Slurm; restore it afterwards."""
    before = dict(os.environ)
    for name in before:
        if name not in KEPT and (name in FOREIGN or name.startswith(FOREIGN_PREFIXES)):
            del os.environ[name]
    os.environ.update(extra or {})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Change the working folder for a child about to start, so that no checkout there shadows the frozen code."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a child about to start ignore Ctrl-C: the terminal sends it to everybody; the scheduler stops in order."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _parameters(request: Request, ids: Mapping[JobKey, str]) -> dict[str, Any]:
    dependency = None if request.edge is None else request.edge.text(ids)
    return {**request.parameters, "dependency": dependency}


def _in_one_line(error: Exception) -> str:
    """Return the scheduler's own words, on one line."""
    output = getattr(error, "stderr", None) or getattr(error, "output", None) or str(error)
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    return " ".join(text.split())
