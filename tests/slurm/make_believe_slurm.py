"""A small Slurm that remembers: sbatch, squeue, scancel, scontrol and sacct as programs on PATH, one state file.

Nothing ever runs in it. A test says which jobs start and how they end; dependencies, holds, arrays and comments are
kept as Slurm keeps them. ``break_call`` makes the n-th call of a program fail, with or without its effect. The programs
import nothing that Python has not loaded already (hence marshal): a test makes dozens of calls.
"""

from __future__ import annotations

import getpass
import marshal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sacct", "srun")
NO_ANSWER = "Socket timed out on send/recv operation"

PROGRAM = r"""
import marshal, os, sys

folder, _, name = sys.argv[0].rpartition("/")
arguments = sys.argv[1:]
with open(f"{folder}/state", "rb") as file:
    state = marshal.load(file)
ALIVE = ("PENDING", "RUNNING")
jobs = state["jobs"]  # "7" or "7_1" -> its record
state["calls"].append([name, *arguments])
state["clusters"].append(os.environ.get("SLURM_CLUSTERS", ""))
number = sum(call[0] == name for call in state["calls"])
broken = state["broken"].get(f"{name} {number}")


def save():
    with open(f"{folder}/state", "wb") as file:
        marshal.dump(state, file)


def waits(job):
    kind, _, ids = (job["dependency"] or "").partition(":")
    for wanted in filter(None, ids.split(":")):
        parents = [one for one in jobs if one == wanted or one.split("_")[0] == wanted]
        if kind == "aftercorr":
            parents = [f"{wanted}_{job['index']}"]
        states = [jobs[one]["state"] for one in parents]
        if kind != "afterany" and any(one in ("FAILED", "TIMEOUT", "CANCELLED") for one in states):
            return "DependencyNeverSatisfied"
        if any(one in ("PENDING", "RUNNING") for one in states):
            return "Dependency"
    return None


def reason(job):
    if job["state"] != "PENDING":
        return "None"
    return "JobHeldUser" if job["held"] else waits(job) or "Priority"


def sbatch():
    with open(arguments[-1]) as script:
        asked = [line[len("#SBATCH --") :].strip().partition("=") for line in script if line.startswith("#SBATCH --")]
    options = {key: value.strip("'\"") for key, _, value in asked}
    job_id, state["next"] = str(state["next"]), state["next"] + 1
    array = options.get("array")
    indices = range(int(array.partition("%")[0].split("-")[1]) + 1) if array else [None]
    for index in indices:
        jobs[job_id if index is None else f"{job_id}_{index}"] = {
            "index": index, "state": "PENDING", "held": "hold" in options,
            "comment": state["comment"] or options.get("comment", ""),
            "dependency": options.get("dependency"), "name": options.get("job-name"), "array": array,
            "folder": options.get("chdir", ""), "time": state["clock"],
        }
    return state["answer"].replace("JOB", job_id)


def chosen():
    given = arguments[arguments.index("--jobs") + 1].split(",") if "--jobs" in arguments else None
    return {one: job for one, job in jobs.items() if given is None or one.split("_")[0] in given}


def squeue():
    (asked,) = (argument[len("--Format=") :] for argument in arguments if argument.startswith("--Format="))
    fields = [field.partition(":")[0] for field in asked.split(",")]
    lines = []
    for one, job in chosen().items():
        if job.get("purged") or ("--me" in arguments and job["state"] not in ALIVE):
            continue
        known = {"JobArrayID": one, "State": job["state"], "Partition": "gpu", "StartTime": "N/A", "RestartCnt": "0",
                 "exit_code": "0", "Comment": job["comment"] or "(null)", "Reason": reason(job),
                 "UserName": state["user"], "SubmitTime": job["time"], "Name": job["name"], "WorkDir": job["folder"]}
        lines.append("".join(known.get(field, "") + "|" for field in fields))
    return "\n".join(lines)


def sacct():
    at = "2026-11-20T13:00:00"
    return "\n".join(f"{one}|{job['state']}|0:0|{at}|{at}|gpu|gpu1|None" for one, job in chosen().items())


def scontrol():
    if arguments[0] == "release":
        for one, job in jobs.items():
            if one.split("_")[0] in arguments[1].split(","):
                job["held"] = False
    return ""


def scancel():
    for one, job in jobs.items():
        if {one, one.split("_")[0]} & set(arguments) and job["state"] in ALIVE:
            job["state"] = "CANCELLED"
    return ""


answer = "" if broken and not broken["works"] else {
    "sbatch": sbatch, "squeue": squeue, "sacct": sacct, "scontrol": scontrol, "scancel": scancel}[name]()
save()
if broken:
    print(f"{name}: error: {broken['error']}", file=sys.stderr)
    sys.exit(1)
print(answer)
"""


@dataclass(frozen=True, slots=True)
class MakeBelieveSlurm:
    """The state behind the programs, and what a test may do to it."""

    folder: Path

    def read(self) -> dict[str, Any]:
        value: dict[str, Any] = marshal.loads((self.folder / "state").read_bytes())
        return value

    def _write(self, state: Mapping[str, Any]) -> None:
        (self.folder / "state").write_bytes(marshal.dumps(state))

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every job and array element that was ever accepted."""
        jobs: dict[str, dict[str, Any]] = self.read()["jobs"]
        return jobs

    def alive(self) -> dict[str, dict[str, Any]]:
        """Those that wait or run."""
        return {job_id: job for job_id, job in self.jobs.items() if job["state"] in ("PENDING", "RUNNING")}

    def held(self) -> set[str]:
        """Those of them that are held."""
        return {job_id for job_id, job in self.alive().items() if job["held"]}

    def set_state(self, job_id: str, state: str, *, purged: bool = False) -> None:
        """Let a job start (RUNNING) or end; ``purged``: squeue has forgotten it, sacct has not."""
        value = self.read()
        value["jobs"][job_id] |= {"state": state, "purged": purged}
        self._write(value)

    def has_ways(self, **ways: str) -> None:
        """Let the site overwrite every ``comment``, or give another ``answer`` than ``Submitted batch job JOB``."""
        self._write({**self.read(), **ways})

    def break_call(self, program: str, number: int, error: str = NO_ANSWER, *, works: bool = False) -> None:
        """Let the n-th further call of a program fail; with ``works`` it has had its effect all the same."""
        value = self.read()
        before = sum(call[0] == program for call in value["calls"])
        value["broken"][f"{program} {before + number}"] = {"error": error, "works": works}
        self._write(value)

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of every call of a program."""
        return [call[1:] for call in self.read()["calls"] if call[0] == program]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeBelieveSlurm:
    """A cluster that has never seen a job."""
    folder = tmp_path / "slurm-bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).write_text(f"#!{sys.executable} -IS\n{PROGRAM}")
        (folder / name).chmod(0o755)
    fresh = {
        "next": 101,
        "jobs": {},
        "calls": [],
        "clusters": [],
        "broken": {},
        "comment": "",
        "answer": "Submitted batch job JOB",
    }
    facts = {"user": getpass.getuser(), "clock": datetime.now().isoformat(timespec="seconds")}
    (folder / "state").write_bytes(marshal.dumps({**fresh, **facts}))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return MakeBelieveSlurm(folder)
