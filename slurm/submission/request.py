"""Everything one sbatch needs, as a value. A dry run prints these; submission sends these very objects.

Rendering to text is in ``slurm.submission.submitit_calls``, beside the code that submits, because both ask submitit
for the script.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import structs

from kd.errors import ClusterError
from kd.jobfile.plan import Plan, PlannedJob
from kd.jobfile.quantities import SHORT
from kd.rundir.early_death import MARK
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.names import folder_tag
from slurm.cluster.profile import Profile
from slurm.cluster.which_cluster import VARIABLE, current_cluster
from slurm.placement.choice import Choice
from slurm.placement.choose_for_all_stages import Asking, choose_partitions
from slurm.placement.job_options import job_options
from slurm.submission.code_checks import ownership_lines
from slurm.submission.container import container_lines, python_inside
from slurm.submission.job_identity import COMMENT_PREFIX

if TYPE_CHECKING:
    from slurm.cluster.partitions_and_nodes import LiveState

Waits: TypeAlias = Mapping[JobKey, tuple[JobKey, ...]]  # what each job waits for
# What submitit has parameters for. All else is passed through.
_NAMED = ("account", "qos", "cpus-per-task", "mem", "mem-per-cpu", "mem-per-gpu", "gres", "gpus-per-node", "constraint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """What a request waits for. ``afterok`` names jobs one by one; the other two name whole arrays."""

    type: Literal["afterok", "aftercorr", "afterany"]
    parents: tuple[JobKey, ...]

    def text(self, ids: Mapping[JobKey, str]) -> str:
        """Return the value of ``--dependency``, given the parents' job ids (https://slurm.schedmd.com/sbatch.html)."""
        names = [ids[parent] for parent in self.parents]
        if self.type != "afterok":
            names = [re.sub(r"_\d+$", "", name) for name in names]  # of an array, not of its elements
        return f"{self.type}:{':'.join(dict.fromkeys(names))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One sbatch call: a job, or an array whose elements are ``jobs`` in order."""

    name: str
    token: str  # the jobs' comment, by which a submission is found again after a crash
    jobs: tuple[PlannedJob, ...]
    edge: Edge | None
    folder: Path  # of the scheduler's own files
    python: str  # shell text that starts Python in the job
    parameters: Mapping[str, Any]  # submitit's SlurmExecutor parameters
    choice: Choice  # of the partition, with the reasons

    @property
    def stage(self) -> str:
        """The stage all its jobs belong to."""
        return self.jobs[0].key.stage

    def symbolic_ids(self) -> dict[JobKey, str]:
        """Return ids to show before there are any: ``<teacher>_0``; ``<teacher>`` for a single job."""
        if len(self.jobs) == 1:
            return {self.jobs[0].key: f"<{self.name}>"}
        return {job.key: f"<{self.name}>_{index}" for index, job in enumerate(self.jobs)}


def in_slots(plan: Plan, profile: Profile) -> Plan:
    """Return the plan with ``time: short`` made this site's short slots; such jobs go on by requeue until done.

    Raises ClusterError where the site cannot requeue.
    """
    short = [job.key.stage for job in plan.jobs if job.needs.minutes == SHORT]
    if short and not profile.requeue:
        raise ClusterError(f"stage '{short[0]}' asks for 'time: short', but this cluster cannot requeue: set a time")
    jobs = (
        replace(job, needs=structs.replace(job.needs, minutes=profile.short_slot))
        if job.needs.minutes == SHORT
        else job
        for job in plan.jobs
    )
    return replace(plan, jobs=tuple(jobs))


def build_requests(
    plan: Plan,
    run: RunFolder,
    profile: Profile,
    *,
    pending: Iterable[JobKey] | None = None,
    finished: Iterable[JobKey] = (),
    queued: Iterable[JobKey] = (),
    attempt: int = 1,
    live: LiveState | None = None,
) -> list[Request]:
    """Return the sbatch calls for the pending jobs (default: all), in an order in which parents come first.

    ``finished`` jobs are verified and need no edge. Every other parent must be pending or ``queued`` already; its id is
    looked up when the request is sent. A report waits for those of its parents that are either. ``attempt`` counts the
    submissions of this run, so that every sbatch carries a comment of its own. With the cluster's ``live`` state each
    stage goes where it is expected to finish first, else to the first partition of the profile that fits.
    Raises ClusterError when a stage fits no partition.
    """
    wanted = {job.key for job in plan.jobs} if pending is None else set(pending)
    coming = wanted.union(queued)
    waits = {job.key: tuple(_awaited(plan, job, set(finished), coming)) for job in plan.jobs if job.key in wanted}
    element: dict[JobKey, tuple[int, int]] = {}  # job -> (request, position in its array)
    requests: list[Request] = []
    by_stage = ((stage, [job for job in jobs if job.key in wanted]) for stage, jobs in plan.by_stage().items())
    stages = {stage: chosen for stage, chosen in by_stage if chosen}
    choices = choose_partitions(profile, live, [_asking(chosen, waits) for chosen in stages.values()])
    for stage, chosen in stages.items():
        choice = choices[stage].require()
        for group, edge in _groups(chosen, waits, element, profile.max_array):
            index = len(requests)
            element.update({job.key: (index, position) for position, job in enumerate(group)})
            count = sum(request.stage == stage for request in requests)
            name = f"{stage}-{count + 1}" if count else stage
            requests.append(_request(name, group, edge, run, profile, choice, attempt))
    return requests


def _awaited(plan: Plan, job: PlannedJob, done: set[JobKey], coming: set[JobKey]) -> Iterable[JobKey]:
    """Yield the parents that a job has to wait for: a report passes over those that nobody makes now."""
    for parent in plan.parents_of(job):
        if parent not in done and (parent in coming or not job.waits_for_all_ended):
            yield parent


def _asking(jobs: Sequence[PlannedJob], waits: Waits) -> Asking:
    first = jobs[0]
    waiting = bool(waits[first.key])
    return Asking(stage=first.key.stage, needs=first.needs, jobs=len(jobs), spec=first.spec, waits=waiting)


def _groups(
    jobs: Sequence[PlannedJob], waits: Waits, element: Mapping[JobKey, tuple[int, int]], largest: int
) -> Iterable[tuple[tuple[PlannedJob, ...], Edge | None]]:
    """Split a stage's jobs into arrays whose elements can share one dependency."""
    for waiting in (False, True):
        same = [job for job in jobs if bool(waits[job.key]) is waiting]
        for start in range(0, len(same), largest):
            chunk = tuple(same[start : start + largest])
            edge = _shared_edge(chunk, waits, element)
            if edge is not None or not waiting:
                yield chunk, edge
            else:
                yield from (((job,), Edge(type="afterok", parents=waits[job.key])) for job in chunk)


def _shared_edge(chunk: Sequence[PlannedJob], waits: Waits, element: Mapping[JobKey, tuple[int, int]]) -> Edge | None:
    """Return an edge that is right for every element of an array, or None when each needs its own."""
    first = waits[chunk[0].key]
    if not first:
        return None
    if chunk[0].waits_for_all_ended:
        return Edge(type="afterany", parents=first)
    if all(waits[job.key] == first for job in chunk):
        return Edge(type="afterok", parents=first)
    if len(first) == 1 and _pairs_up(chunk, waits, element):
        return Edge(type="aftercorr", parents=first)
    return None


def _pairs_up(chunk: Sequence[PlannedJob], waits: Waits, element: Mapping[JobKey, tuple[int, int]]) -> bool:
    """Whether element k of the chunk waits for exactly element k of one and the same new array."""
    places = [element.get(waits[job.key][0]) if len(waits[job.key]) == 1 else None for job in chunk]
    return places[0] is not None and places == [(places[0][0], position) for position in range(len(chunk))]


def run_tag(run: RunFolder) -> str:
    """Return the start of the comment of every job of a run, unlike that of any other run of any user."""
    return f"{COMMENT_PREFIX}{folder_tag(run.path)}"


def job_name(run: RunFolder, request: str) -> str:
    """Return what Slurm shows as the name of a request's jobs."""
    return f"{run.name}.{request}"


def _request(
    name: str,
    jobs: tuple[PlannedJob, ...],
    edge: Edge | None,
    run: RunFolder,
    profile: Profile,
    choice: Choice,
    attempt: int,
) -> Request:
    token = f"{run_tag(run)}:{name}:{attempt}"
    return Request(
        name=name,
        token=token,
        jobs=jobs,
        edge=edge,
        folder=run.submitted(jobs[0].key.stage),
        python=_python(profile, with_gpu=jobs[0].needs.gpus > 0),
        parameters=_parameters(name, token, jobs, run, profile, choice),
        choice=choice,
    )


def _parameters(
    name: str, token: str, jobs: Sequence[PlannedJob], run: RunFolder, profile: Profile, choice: Choice
) -> dict[str, Any]:
    """Return submitit's parameters. Everything is set explicitly, so that no site default can surprise."""
    needs = structs.replace(jobs[0].needs, gpu_type=choice.gpu_type)
    further: dict[str, Any] = {"hold": True, "chdir": str(run.path), "export": "ALL"}
    further["requeue" if profile.requeue else "no-requeue"] = True
    if cluster := current_cluster():
        further["clusters"] = cluster
    if profile.kill_invalid_dependents:
        further["kill-on-invalid-dep"] = "yes"
    parameters: dict[str, Any] = {
        "job_name": job_name(run, name),
        "partition": choice.partition,
        "time": needs.minutes,
        "ntasks_per_node": 1,
        "signal_delay_s": profile.signal_seconds,
        "stderr_to_stdout": True,
        "wckey": None,
        "array_parallelism": profile.parallel or len(jobs),
        "mail_user": profile.mail,
        "mail_type": profile.mail and ("END,FAIL" if jobs[0].waits_for_all_ended else "FAIL"),
        "setup": [
            *ownership_lines(run, run.submitted(jobs[0].key.stage)),
            *setup_lines(run, profile),
            *_container_lines(run, profile, jobs),
        ],
        "srun_args": ["--kill-on-bad-exit=1"],
    }
    options = job_options(needs, profile, choice.partition, exclude=choice.exclude)
    parameters["comment"] = " ".join(filter(None, (token, str(options.pop("comment", "")))))  # the site's behind ours
    parameters |= {name.replace("-", "_"): options.pop(name) for name in _NAMED if name in options}
    parameters["additional_parameters"] = {**further, **options}
    return {key: value for key, value in parameters.items() if value is not None or key == "wckey"}


def _python(profile: Profile, *, with_gpu: bool) -> str:
    if profile.container:
        return python_inside(profile.container, with_gpu=with_gpu)
    return "python" if profile.venv else shlex.quote(sys.executable)


def _container_lines(run: RunFolder, profile: Profile, jobs: Sequence[PlannedJob]) -> list[str]:
    if profile.container is None:
        return []
    roots = sorted({job.spec.data.root for job in jobs if job.spec.data and job.spec.data.root})
    return container_lines(profile.container, run.path.parent, roots, profile.scratch)


def setup_lines(run: RunFolder, profile: Profile) -> list[str]:
    """Return the shell lines before srun: stop at a failure, load modules, activate, point at the frozen code."""
    lines = ["set -e", f"trap 'echo \"{MARK}, exit code $?\"' EXIT"]
    if current_cluster():  # nodes may not reach the database; without the variable they speak to their own controller
        lines.append(f"unset {VARIABLE}")
    if profile.module_init:
        lines.append(f"command -v module > /dev/null || source {shlex.quote(profile.module_init)}")
    lines += [f"module load {shlex.quote(module)}" for module in profile.modules]
    if profile.venv:
        lines.append(f"source {_with_variables(profile.venv)}/bin/activate")
    lines += [f"export {name}={_with_variables(value)}" for name, value in profile.environment.items()]
    lines.append("export PYTHONSAFEPATH=1")
    # The frozen code first; behind it what the shell, the modules and the profile have put there.
    lines.append(f'export PYTHONPATH={shlex.quote(str(run.code))}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    # Slurm 22.05 and 23.02: srun does not take over --cpus-per-task from sbatch.
    lines.append("export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}")
    lines.append("trap - EXIT")
    return lines


def _with_variables(text: str) -> str:
    """Quote text for the shell, leaving only ``$NAME`` and ``${NAME}`` to be expanded."""
    escaped = re.sub(r'["\\`]', r"\\\g<0>", text)
    return '"' + re.sub(r"\$(?![A-Za-z_]\w*|\{[A-Za-z_]\w*\})", r"\\$", escaped, flags=re.ASCII) + '"'
