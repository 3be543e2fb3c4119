"""journal.jsonl: what was submitted, a line each, fsynced before the next step: the launcher's memory across crashes.

What the lines are is in kd/rundir/journal_lines.py. Every line carries the tag of its folder. A copy of a run therefore
has a journal without lines: the jobs that it tells of are the original's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from kd.errors import RunError
from kd.files import append_line
from kd.rundir.bounded_json import open_regular
from kd.rundir.folders import JobKey
from kd.rundir.journal_lines import Intent, Line, Released, Scheduling, Settled, Submitted, Withdrawn, read_lines
from kd.rundir.names import folder_tag
from kd.rundir.process_identity import Process, describe


class Submission(Struct, frozen=True, kw_only=True):
    """The newest submission of one job."""

    key: JobKey
    job_id: str  # 123 or, for an array element, 123_4; a process id where the job is a process of this machine
    token: str
    executor: str  # its name
    released: bool
    time: float
    process: Process | None = None  # which process it is, to tell it from a later one with the same id
    withdrawn: str | None = None  # why it was cancelled
    cluster: str = ""  # the one it was sent to, where several share a login node


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one run."""

    path: Path

    def append(self, event: str, **fields: Any) -> None:
        """Write one line and make it durable. Raises RunError when it cannot be written."""
        head = {"event": event, "time": round(time.time(), 3), "folder": folder_tag(self.path.parent)}
        line = json.dumps({**head, **fields})
        try:
            append_line(self.path, f"\n{line}" if self._ends_torn() else line)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); nothing more is submitted") from error

    def _ends_torn(self) -> bool:
        """Whether a crash cut the last line short: the next one must not be glued to it, or it would be lost too."""
        try:
            with open_regular(self.path) as file:
                if not file.seek(0, os.SEEK_END):
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read() != b"\n"
        except (OSError, ValueError):  # none yet, or nothing that can be written to either
            return False

    def lines(self) -> list[Line]:
        """Return the lines that were written to this very journal; a last line cut by a crash is left out."""
        return read_lines(self.path)

    def attempts(self) -> int:
        """Return how many requests were ever about to be sent."""
        return sum(isinstance(line, Intent) for line in self.lines())

    def intend(self, token: str, keys: Iterable[JobKey], cluster: str = "") -> None:
        """Record what is about to be submitted under a token, and to which of several clusters."""
        self.append("intent", token=token, jobs=[str(key) for key in keys], **_given(cluster=cluster))

    def submitted(self, token: str, executor: str, ids: Mapping[JobKey, str], cluster: str = "") -> None:
        """Record which ids held jobs were given."""
        jobs = {str(key): job_id for key, job_id in ids.items()}
        self.append("submitted", token=token, executor=executor, jobs=jobs, **_given(cluster=cluster))

    def started(self, token: str, executor: str, pids: Mapping[JobKey, int]) -> None:
        """Record which processes of this machine run the jobs: they are never held."""
        jobs = {str(key): str(pid) for key, pid in pids.items()}
        processes = {str(pid): _process_json(pid) for pid in pids.values()}
        self.append("submitted", token=token, executor=executor, jobs=jobs, processes=processes)

    def scheduling(self) -> None:
        """Record that this process runs the job graph from now on."""
        self.append("scheduler", process=_process_json(os.getpid()))

    def released(self, ids: Iterable[str]) -> None:
        """Record that held jobs may run."""
        self.append("released", ids=list(ids))

    def withdrawn(self, ids: Iterable[str], why: str) -> None:
        """Record that jobs were cancelled, and why."""
        self.append("withdrawn", ids=list(ids), why=why)

    def settled(self, token: str) -> None:
        """Record that nothing of an interrupted submission is left."""
        self.append("settled", token=token)

    def submissions(self) -> dict[JobKey, Submission]:
        """Return the newest submission of each job, without those that were withdrawn."""
        return {key: found for key, found in self.newest().items() if found.withdrawn is None}

    def newest(self) -> dict[JobKey, Submission]:
        """Return the newest submission of each job, also where it was withdrawn."""
        newest: dict[JobKey, Submission] = {}
        owner: dict[str, JobKey] = {}  # job id -> the job that it was last given to
        for line in self.lines():
            match line:
                case Submitted():
                    for found in _submissions(line):
                        newest[found.key] = found
                        owner[found.job_id] = found.key
                case Released() | Withdrawn():
                    for job_id in line.ids:
                        key = owner.get(job_id)
                        if key is not None and newest[key].job_id == job_id:
                            newest[key] = _changed(newest[key], line)
                case _:
                    pass
        return newest

    def scheduler(self) -> Process | None:
        """Return the process that last ran the local executor's job graph; it may have ended."""
        found = [line.process for line in self.lines() if isinstance(line, Scheduling)]
        return found[-1] if found else None

    def clusters(self) -> set[str]:
        """Return the clusters that anything was ever sent to; the empty name is slurm.conf's own."""
        return {line.cluster for line in self.lines() if isinstance(line, Intent)}

    def known_ids(self, cluster: str = "") -> set[str]:
        """Return every job id of a cluster that was ever written down; of array elements, the array's."""
        lines = [line for line in self.lines() if isinstance(line, Submitted) and line.cluster == cluster]
        return {job_id.partition("_")[0] for line in lines for job_id in line.jobs.values()}

    def open_intents(self) -> dict[str, list[JobKey]]:
        """Return the tokens whose sbatch may have succeeded without its answer having been written down."""
        intents: dict[str, list[JobKey]] = {}
        for line in self.lines():
            match line:
                case Intent():
                    intents[line.token] = [parse_key(name) for name in line.jobs]
                case Submitted() | Settled():
                    intents.pop(line.token, None)
                case _:
                    pass
        return intents


def _submissions(line: Submitted) -> Iterator[Submission]:
    processes = line.processes
    for name, job_id in line.jobs.items():
        yield Submission(
            key=parse_key(name),
            job_id=job_id,
            token=line.token,
            executor=line.executor,
            released=processes is not None,
            time=line.time,
            process=(processes or {}).get(job_id),
            cluster=line.cluster,
        )


def _changed(found: Submission, line: Released | Withdrawn) -> Submission:
    if isinstance(line, Withdrawn):
        return structs.replace(found, withdrawn=line.why)
    return structs.replace(found, released=True)


def _given(**fields: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _process_json(pid: int) -> dict[str, Any] | None:
    process = describe(pid)
    return None if process is None else structs.asdict(process)  # None: it has ended already


def parse_key(text: str) -> JobKey:
    """Return the job of a name in the journal."""
    stage, separator, seed = text.partition("/seed-")
    return JobKey(stage, int(seed) if separator else None)
