"""One run on the testbed that a test disturbs: its commands, its jobs as Slurm has them, and what came out."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.rundir.journal import Journal
from slurm.state.planned_jobs import read_jobs
from tests.conftest import REPOSITORY
from tests.kd.conftest import damaged
from tests.slurm.launching import Desk, training_process, wait_until
from tests.testbed import Testbed

CHAIN = REPOSITORY / "tests" / "jobs" / "chain.yaml"
INTERPRETER = REPOSITORY / "tests" / "faults" / "disturbed_job.py"
TEACHER, DISTILLED, REPORT = JobKey("teacher", 1), JobKey("distilled", 1), JobKey("report", None)
ONCE = {"teacher": 1, "distilled": 1, "report": 1}  # Slurm started every job a single time
NOT_LEARNT = ("epoch_time_sec", "images_per_second", "gpu_memory_mb")  # columns that tell of the machine
PLACE: Mapping[str, Any] = {
    "partitions": [{"name": "a100", "gpu_type": "a100"}],
    "cpu_partition": "cpu",
    "scratch": ["$TMPDIR"],
    "signal_seconds": 30,
    "omit": ["memory"],
    "require_gpus": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One run of chain.yaml, in a results folder of its own so that it shares nothing with other runs."""

    name: str
    folder: Path
    testbed: Testbed
    job: Path = CHAIN
    options: tuple[str, ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)  # what differs from PLACE
    environment: Mapping[str, str] = field(default_factory=dict)  # of the person's shell

    def with_(self, **changes: Any) -> Trial:
        """Return the trial with other options, profile or environment."""
        return replace(self, **changes)

    def paced(self, *seconds: float, **profile: Any) -> Trial:
        """Return the trial with a teacher whose steps take so much longer, and further lines of the profile.

        Several numbers are for the first start and for the restarts.
        """
        environment = {"KD_TEST_PACE": " ".join(map(str, seconds)), **profile.pop("environment", {})}
        return self.with_(profile={**self.profile, **profile, "environment": environment, "venv": self._interpreter()})

    def _interpreter(self) -> str:
        """Make what the profile takes for a virtual environment: its python is ``disturbed_job.py``."""
        programs = self.folder / "interpreter" / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "activate").write_text(f"export PATH={shlex.quote(str(programs))}:$PATH\n")
        words = shlex.join([sys.executable, "-u", str(INTERPRETER)])
        python = programs / "python"
        python.write_text(f'#!/bin/bash\nshift  # -u\nexec {words} "$@"\n')
        python.chmod(0o755)
        return str(programs.parent)

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.results / self.name)

    @property
    def desk(self) -> Desk:
        """The person's shell."""
        self.results.mkdir(parents=True, exist_ok=True)
        return Desk(results=self.results, environment={**self.testbed.environment, **self.environment})

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line of kd-submit; writes the cluster profile."""
        profile = self.folder / "site.yaml"
        profile.parent.mkdir(parents=True, exist_ok=True)
        profile.write_text(yaml.safe_dump({**PLACE, **self.profile}))
        place = ("--executor", "slurm", "--cluster", str(profile), "--results", str(self.results), "--run", self.name)
        return (str(self.job), *place, *self.options)

    def submit(self, *more: str, code: int = 0) -> str:
        """Run kd-submit to its end and return what it said."""
        return self.desk.run("kd-submit", *self.arguments, *more, code=code)

    def start_submit(self, *more: str) -> subprocess.Popen[str]:
        """Start kd-submit."""
        return self.desk.start("kd-submit", *self.arguments, *more)

    def why(self, key: JobKey) -> str:
        """Return the phase of a job and why, as kd-status gives them now."""
        process = self.desk.start("kd-status", self.name, "--json")
        output, _ = process.communicate(timeout=300)
        assert process.returncode in (0, 1), output
        (found,) = (job for job in yaml.safe_load(output)["jobs"] if job["job"] == str(key))
        return f"{found['phase']}: {found['why']}"

    def stage(self, key: JobKey) -> StageFolder:
        """Return the folder of a job."""
        return self.run.stage(key)

    def job_id(self, key: JobKey) -> str:
        """Return the id of a job's newest submission."""
        return Journal(self.run.journal).newest()[key].job_id

    def log(self, key: JobKey) -> str:
        """Return what all attempts at a job have logged."""
        return "".join(log.read_text() for log in sorted(self.stage(key).log.glob("attempt-*.log")))

    def slurm_state(self, key: JobKey) -> str:
        """Return squeue's word for a job, empty when it is not in the queue."""
        answer = self.testbed.run("squeue", "-h", "-o", "%T", "-j", self.job_id(key), check=False)
        return answer.stdout.strip()

    def node(self, key: JobKey) -> str:
        """Return the node a job runs on."""
        return self.testbed.run("squeue", "-h", "-o", "%N", "-j", self.job_id(key)).stdout.strip()

    def wait_training(self, key: JobKey = TEACHER, *, epoch: int = 1, step: int = 1, attempt: int = 1) -> None:
        """Wait until a training is in its n-th epoch, counted from 1, and has done so many steps of it."""

        def reached() -> bool:
            progress = read_object(self.stage(key).progress) or {}
            return (progress.get("attempt", 0), progress.get("epoch", 0)) >= (attempt, epoch) and progress[
                "step"
            ] >= step

        wait_until(reached, f"{self.name}: {key} to train in epoch {epoch}", seconds=500)

    def process(self, key: JobKey = TEACHER) -> int:
        """Return the process that trains."""
        found = training_process(self.stage(key).path)
        assert found is not None, f"{self.name}: nothing trains {key}"
        return found

    def queued(self) -> list[str]:
        """Return the ids of this run's jobs that squeue lists; of a silent controller, that."""
        answer = self.testbed.run("squeue", "-h", "--array", "-o", "%i|%j", check=False)
        lines = [line.split("|") for line in answer.stdout.splitlines()]
        mine = [job_id for job_id, name in lines if name.startswith(f"{self.name}.")]
        return mine if answer.returncode == 0 else ["slurmctld is silent"]

    def wait_ended(self, seconds: float = 600) -> None:
        """Wait until no job of the run is in the queue."""
        wait_until(lambda: not self.queued(), f"{self.name}: the jobs to end", seconds=seconds)

    def starts(self) -> Counter[str]:
        """Return how often Slurm started a job of each name, all restarts and all submissions counted."""
        columns = "JobName%80,NodeList%80"
        rows = self.testbed.run("sacct", "-X", "-D", "-n", "-P", "-S", "now-1hour", "-o", columns).stdout
        split = [row.split("|") for row in rows.splitlines()]
        names = [name for name, nodes in split if name.startswith(f"{self.name}.") and nodes != "None assigned"]
        return Counter(name.removeprefix(f"{self.name}.") for name in names)

    def outcome(self) -> dict[str, Any]:
        """Return what was learnt and reported; raise AssertionError when a job lacks its one verified result."""
        assert self.queued() == [], "nothing of the run is left in the queue"
        jobs = {str(job.key): self._job_outcome(job.key, job.fingerprint) for job in read_jobs(self.run)}
        (family,) = (read_object(self.run.report_json) or {}).values()
        names = ("teacher_accuracy", "student_accuracy_without_kd", "student_accuracy_with_kd", "seeds", "missing")
        numbers = {stage: [facts["values"], facts["last_epoch"]] for stage, facts in family["stages"].items()}
        return {"jobs": jobs, "report": {name: family[name] for name in names}, "numbers": numbers}

    def _job_outcome(self, key: JobKey, fingerprint: str) -> dict[str, Any]:
        folder = self.stage(key)
        result = read_object(folder.result)
        assert result is not None, f"{self.name}: {key} has no result\n{self.log(key)}"
        assert result["fingerprint"] == fingerprint
        assert damaged(folder) == []
        assert not folder.failure.exists(), f"{self.name}: {key} is done and failed"
        if result["kind"] == "report":
            return {}
        weights = {name: digest for name, digest in result["files"].items() if name.endswith(".safetensors")}
        return {**weights, "test": result["test"], "validation": result["validation"], "epochs": learnt(folder.metrics)}


def learnt(metrics: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the columns that tell of the machine."""
    with open(metrics, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in NOT_LEARNT} for row in rows]


def with_sbatch(trial: Trial, number: int, instead: str) -> Trial:
    """Return the trial in a shell whose sbatch does something else at its n-th call; ``$real`` is the true one."""
    programs = trial.folder / "programs"
    programs.mkdir()
    script = programs / "sbatch"
    real = shutil.which("sbatch")
    script.write_text(
        f'#!/bin/bash\nreal={real}\ncase " $* " in *" --test-only "*) exec "$real" "$@" ;; esac\n'
        f"echo call >> {programs}/calls\n"
        f'if [ "$(wc -l < {programs}/calls)" = {number} ]; then\n{instead}\nfi\nexec "$real" "$@"\n'
    )
    script.chmod(0o755)
    return trial.with_(environment={"PATH": f"{programs}:{os.environ['PATH']}"})
