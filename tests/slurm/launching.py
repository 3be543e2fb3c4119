"""Running kd's commands as a person does, in processes of their own, and looking at what they left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey, RunFolder
from tests.conftest import REPOSITORY

SMALL = REPOSITORY / "tests" / "jobs" / "small.yaml"
STAGES = ("teacher", "baseline", "distilled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """A folder to work in and the environment of a person's shell."""

    results: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [str(Path(sys.executable).with_name(command)), *arguments],
            cwd=self.results,
            env={**os.environ, "KD_RESULTS": str(self.results), "OMP_NUM_THREADS": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, *arguments: str, code: int = 0) -> str:
        """Run a command to its end, check its exit code and return what it printed."""
        process = self.start(command, *arguments)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == code, output
        return output

    def submit(self, *arguments: str, code: int = 0, job: Path = SMALL) -> str:
        """Run ``kd-submit`` on the small job."""
        return self.run("kd-submit", str(job), *arguments, code=code)

    def folder(self, name: str = "small") -> RunFolder:
        """Return a run of this desk."""
        return RunFolder(self.results / name)

    def report(self, name: str = "small") -> dict[str, Any]:
        """Return the one family of a run's report."""
        (family,) = json.loads(self.folder(name).report_json.read_text()).values()
        assert isinstance(family, dict)
        return family

    def status(self, name: str = "small", *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """Return the jobs of ``kd-status --json``."""
        value = json.loads(self.run("kd-status", name, "--json", *arguments, code=code))
        jobs = value["jobs"] if isinstance(value, dict) else value
        assert isinstance(jobs, list)
        return jobs


def weights(run: RunFolder, seeds: tuple[int, ...] = (1, 2)) -> dict[str, str]:
    """Return the digest of the final weights of every job that trains."""
    found = {}
    for stage in STAGES:
        for seed in seeds:
            result = read_object(run.stage(JobKey(stage, seed)).result)
            if result is not None:
                found[f"{stage}/{seed}"] = result["files"]["checkpoint/last.safetensors"]
    return found


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Wait for something that takes as long as the machine needs; fail with its name."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


def training_process(folder: Path) -> int | None:
    """Return the process that runs a stage (the one that wrote its attempt), or None."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            opened = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        runs_stages = any(name in command for name in (b"submitit.core._submit", b"slurm.job.fork_server"))
        if runs_stages and any(name.startswith(f"{folder}/log/") for name in opened):
            return int(entry.name)
    return None


def kill(process: int) -> None:
    """End a process as the kernel's memory killer would."""
    os.kill(process, signal.SIGKILL)
