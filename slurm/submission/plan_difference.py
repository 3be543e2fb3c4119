"""How a plan differs from the one that a run folder holds, in the words of the job file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kd.errors import RunError, shown
from kd.jobfile.plan import Plan, PlannedJob
from kd.rundir.folders import JobKey, RunFolder, read_object
from kd.rundir.plan_file import read_plan

MOST_NAMED = 4


def changed_jobs(run: RunFolder, plan: Plan) -> list[JobKey]:
    """Return the jobs that the run folder plans otherwise than this plan does; reports do not count.

    Raises RunError when its plan cannot be read.
    """
    stored = read_plan(run).jobs if run.plan.exists() else []
    before = {job.key: job.fingerprint for job in stored}
    trained = [job for job in plan.jobs if not job.waits_for_all_ended]
    return [job.key for job in trained if before.get(job.key, job.fingerprint) != job.fingerprint]


def refuse_other_plan(run: RunFolder, plan: Plan) -> None:
    """Raise RunError when the run folder holds another plan than this one: a name must not mean two things."""
    changed = set(changed_jobs(run, plan))
    if not changed:
        return
    by_stage = {job.key.stage: job for job in plan.jobs if job.key in changed}
    differences = [f"{stage}: {', '.join(words)}" for stage, job in by_stage.items() if (words := _own(run, job))]
    rest = "" if differences else "its parents differ"
    raise RunError(
        f"{run.path} holds another plan ({'; '.join(differences) or rest}). "
        f"Choose a new --run name, or --again to set the old stages aside and train anew"
    )


def _own(run: RunFolder, job: PlannedJob) -> list[str]:
    """Return what a job itself does otherwise; nothing where only its parents do."""
    before = read_object(run.stage(job.key).spec)
    if before is None:
        return ["differs"]
    parts = ("settings", "data")
    now = job.spec.to_json()
    words = list(_differing({part: before.get(part) for part in parts}, {part: now[part] for part in parts}, ""))
    if words:
        return [*words[:MOST_NAMED], *([f"{len(words) - MOST_NAMED} more"] if len(words) > MOST_NAMED else [])]
    same_parents = before.get("parents") == now["parents"]
    return ["the content of its data set, or kd itself, has changed"] if same_parents else []


def _differing(before: Any, after: Any, key: str) -> Iterator[str]:
    """Yield ``epochs was 3, is 5`` for every value that differs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from _differing(before.get(name), after.get(name), f"{key}.{name}")
    elif before != after:
        yield f"{key.removeprefix('.settings.').removeprefix('.')} was {shown(before)}, is {shown(after)}"
