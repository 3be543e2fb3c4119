"""Run folders made for tests with the real planner and the real journal, and stand-ins for Slurm's commands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kd.files import write_json
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.stage import Pipeline
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal
from slurm.cluster.job_states import SQUEUE_FIELDS
from slurm.submission.executors import EXECUTORS

SAID = Path(__file__).parent / "said"  # what a real Slurm 22.05.8 said


def teacher(seed: int = 1) -> JobKey:
    return JobKey("teacher", seed)


def student(seed: int = 1) -> JobKey:
    return JobKey("student", seed)


REPORT = JobKey("report", None)


def plan_of(seeds: Iterable[int]) -> Plan:
    """A teacher and its student for every seed, and a report."""
    training = {"model": "resnet8", "epochs": 10, "optimizer": {"name": "sgd", "lr": 0.1}}
    stages = {
        "teacher": {"kind": "train", **training},
        "student": {"kind": "distill", "teacher": "teacher", "loss": {"kd": 1.0}, **training},
        "report": {"kind": "report"},
    }
    data = {"name": "synthetic", "validation": 10}
    return plan_pipeline(
        Pipeline.model_validate({"pipeline": "test", "data": data, "seeds": list(seeds), "stages": stages})
    )


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run folder and the means to fill it."""

    run: RunFolder
    plan: Plan

    @property
    def journal(self) -> Journal:
        return Journal(self.run.journal)

    def submit(self, ids: dict[JobKey, str], *, executor: str = "slurm", released: bool = True) -> None:
        """Journal a submission as kd-submit does."""
        token = f"kd:test:{next(iter(ids)).stage}:1"
        if not EXECUTORS[executor].is_cluster:
            self.journal.started(token, executor, {key: int(pid) for key, pid in ids.items()})
            return
        self.journal.intend(token, ids)
        self.journal.submitted(token, executor, ids)
        if released:
            self.journal.released(ids.values())

    def finish(self, key: JobKey, **fields: Any) -> None:
        """Write the result of the job's newest submission, or of the one that ``job_id`` names."""
        planned = next(job for job in self.plan.jobs if job.key == key)
        newest = self.journal.newest().get(key)
        job_id = fields.pop("job_id", newest.job_id if newest and newest.process is None else None)
        job = {"job_id": job_id, **fields.pop("job", {})}
        identity = {"stage": key.stage, "seed": key.seed, "kind": planned.kind, "role": None, "pipeline": "test"}
        rest = {"fingerprint": planned.fingerprint, "parents": {}, "files": {}, "finished": time.time(), **fields}
        write_json(self.run.stage(key).result, {"format": 1, **identity, "job": job, **rest})

    def beat(self, key: JobKey, *, ago: float = 0.0, **fields: Any) -> None:
        """Write a heartbeat that was written so many seconds ago."""
        written = time.time() - ago
        path = self.run.stage(key).progress
        value = {"epoch": 3, "epochs": 10, "step": 5, "steps": 10, "seconds_per_epoch": 40.0, "host": "gpu1"}
        write_json(path, {**value, "metric": {"name": "val_accuracy", "value": 0.81}, "updated": written, **fields})
        os.utime(path, (written, written))

    def fail(self, key: JobKey, message: str, **fields: Any) -> None:
        failure = {"error": "DataError", "message": message, "time": time.time() + 1, "job_id": None, **fields}
        write_json(self.run.stage(key).failure, failure)


def make_run(folder: Path, seeds: Iterable[int] = (1, 2), *, name: str = "trial") -> MadeRun:
    plan = plan_of(seeds)
    run = RunFolder(folder / "results" / name)
    write_json(run.plan, msgspec.to_builtins(plan.to_file()))
    run.code.write_bytes(b"the frozen code")
    return MadeRun(run, plan)


def squeue_line(job_id: str, state: str, reason: str = "None", **fields: str) -> str:
    """A line as squeue prints it."""
    values = {
        "JobArrayID": job_id,
        "State": state,
        "Partition": "gpu",
        "NodeList": "gpu1" if state == "RUNNING" else "",
        "StartTime": "N/A",
        "RestartCnt": "0",
        "exit_code": "0",
        "Comment": "(null)",
        "Reason": reason,
        "UserName": "",
        "SubmitTime": "N/A",
        "Name": "",
        "WorkDir": "",
        **fields,
    }
    return "".join(f"{values[name]}|" for name in SQUEUE_FIELDS) + "\n"


def sacct_line(job_id: str, state: str, exit_code: str = "0:0", submitted: str = "2026-11-20T13:00:00") -> str:
    """A line as sacct prints it."""
    return f"{job_id}|{state}|{exit_code}|{submitted}|{submitted}|gpu|gpu1|None\n"


@dataclass(frozen=True, slots=True)
class FakeSlurm:
    """Programs named squeue, sacct and scancel on PATH that print what a test wants and note how they were called."""

    folder: Path

    def says(self, program: str, text: str, *, error: str = "", code: int = 0) -> None:
        for stream, content in (("out", text), ("err", error)):
            (self.folder / f"{program}.{stream}").write_text(content)
        script = self.folder / program
        here = f'"$(dirname "$0")/{program}'
        lines = ["#!/bin/sh", f'echo {program} "$@" >> "$(dirname "$0")/calls"', f'cat {here}.out"']
        script.write_text("\n".join([*lines, f'cat {here}.err" >&2', f"exit {code}", ""]))
        script.chmod(0o755)

    def calls(self, program: str) -> list[str]:
        """The command lines of a program so far."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] == program]


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A Slurm that knows no job and has no accounting, until told otherwise."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = FakeSlurm(folder)
    fake.says("squeue", "")
    fake.says("sacct", "", error="Slurm accounting storage is disabled\n", code=1)
    fake.says("scancel", "")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return fake
