"""Making a run folder: the job file, the plan, every stage's spec, provenance, and the code frozen as it is now."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import yaml
from msgspec import structs

from kd.errors import RunError, shown
from kd.files import atomic_path, write_json, write_text
from kd.jobfile.plan import Plan
from kd.jobfile.schema import NAME_PATTERN
from kd.jobfile.stage import Pipeline
from kd.rundir.folders import RunFolder
from kd.rundir.launch import LaunchFile, write_launch
from kd.rundir.plan_file import PlanFile, read_plan, write_plan
from kd.user_code.frozen import freeze
from kd.user_code.sources import bound
from slurm.cluster.profile import Profile
from slurm.submission.code_checks import pin_code_again
from slurm.submission.executors import Executor
from slurm.submission.fault_points import fault_point

PACKAGES = ("kd", "slurm")
CODE = (".py", ".jinja", ".json", ".yaml")  # what the packages hold; all else beside it is somebody's own
LONGEST_NAME = 100
VERSIONS_OF = ("torch", "torchvision", "timm", "submitit", "numpy", "safetensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How a run is executed; the payload reads it from launch.json."""

    executor: Executor
    cluster: str
    profile: Profile


def open_run(results: Path, name: str) -> RunFolder:
    """Return the run folder of a name. Raises RunError for names and places that Slurm cannot write logs to."""
    if not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        raise RunError(f"--run {shown(name)}: a run's name is letters, digits, '_', '-' and '.'")
    if len(name) > LONGEST_NAME:
        raise RunError(f"--run {shown(name)}: {len(name)} characters; a run's name has {LONGEST_NAME} at most")
    path = Path(os.path.abspath(results)) / name
    for character, meaning in (("%", "Slurm's log patterns"), ("\n", "one line"), ("\\", "Slurm's log patterns")):
        if character in str(path):
            raise RunError(f"{str(path)!r}: a results folder may not contain {character!r} (it breaks {meaning})")
    return RunFolder(path)


def write_run(run: RunFolder, pipeline: Pipeline, plan: Plan, launch: Launch, command: Sequence[str]) -> None:
    """Write or complete the run folder. Files of stages that are already there keep their content."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.job_file, yaml.safe_dump(pipeline.model_dump(mode="json", exclude_unset=True), sort_keys=False))
    write_launch(run, _launch_file(launch))
    write_json(run.provenance, provenance(command), private=True)  # a diff may hold what is not for everybody
    freeze_code(run.code)
    freeze(bound().values(), run.own_code)
    pin_code_again(run)
    fault_point("before-specs")
    for planned in plan.jobs:
        folder = run.stage(planned.key)
        if folder.path.is_symlink():  # another run's: not ours to write to
            continue
        folder.log.mkdir(parents=True, exist_ok=True)
        write_json(folder.spec, planned.spec.to_json())
    fault_point("before-plan")
    write_json(run.counted, msgspec.to_builtins(plan.counted()))
    write_plan(run, _with_earlier_seeds(run, plan))
    fault_point("after-plan")


def _with_earlier_seeds(run: RunFolder, plan: Plan) -> PlanFile:
    """Return the plan with the other seeds that this run was submitted with before: a run may grow.

    Stages stand in the plan's order, and their seeds in order of number.
    """
    now = plan.to_file()
    planned = {job.key for job in now.jobs}
    stages = {key.stage for key in planned}
    before = read_plan(run).jobs if run.plan.exists() else []
    earlier = [job for job in before if job.stage in stages and job.key not in planned]
    seeds = sorted({*plan.seeds, *(job.seed for job in earlier if job.seed is not None)})
    order = {stage: number for number, stage in enumerate(plan.by_stage())}
    jobs = sorted([*earlier, *now.jobs], key=lambda job: (order[job.stage], job.seed or 0))
    return structs.replace(now, seeds=seeds, jobs=jobs)


def provenance(command: Sequence[str]) -> dict[str, object]:
    """Return where a run comes from: commit, uncommitted changes, command, versions, host.

    The environment is left out on purpose: it may hold secrets.
    """
    root = Path(__file__).resolve().parents[2]
    return {
        "command": list(command),
        "commit": _git(root, "rev-parse", "HEAD"),
        "uncommitted": _git(root, "diff", "HEAD"),
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "time": time.time(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": {name: _version(name) for name in VERSIONS_OF},
    }


def freeze_code(target: Path) -> None:
    """Pack the packages that jobs import into one zip file, so that later edits cannot change what runs.

    Links, hidden files and files of other kinds stay out, and the zip is this user's alone: a file that was never
    committed may hold what is not for everybody.
    """
    root = Path(__file__).resolve().parents[2]
    packed = zipfile.ZIP_DEFLATED
    with atomic_path(target, private=True) as temporary, zipfile.ZipFile(temporary, "w", packed) as archive:
        for package in PACKAGES:
            for file in sorted((root / package).rglob("*")):
                name = file.relative_to(root)
                if file.suffix in CODE and file.is_file() and not _is_linked_or_hidden(root, name):
                    archive.write(file, name)


def _is_linked_or_hidden(root: Path, name: Path) -> bool:
    folders = (root / part for part in (name, *name.parents[:-1]))
    return any(part.startswith(".") for part in name.parts) or any(path.is_symlink() for path in folders)


def _launch_file(launch: Launch) -> LaunchFile:
    return LaunchFile(
        executor=launch.executor.name,
        cluster=launch.cluster,
        scratch=tuple(launch.profile.scratch) if launch.executor.is_cluster else (),
        require_gpus=launch.profile.require_gpus,
        max_restarts=launch.profile.max_restarts,
        submit_tmpdir=os.environ.get("TMPDIR"),
    )


def _git(root: Path, *arguments: str) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
