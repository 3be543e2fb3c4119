"""How a plan differs from the one that a run folder holds, in the words of the job file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import to_builtins

from kd.errors import RunError, shown
from kd.jobfile.data_content import file_changes
from kd.jobfile.plan import Plan, PlannedJob
from kd.rundir.counted_file import CONTENT_OF, read_counted
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.plan_file import read_plan
from kd.rundir.stage_spec import read_spec

MOST_NAMED = 4
UNRECORDED = "planned by another version of kd, which left no record of what it counted"


def changed_jobs(run: RunFolder, plan: Plan) -> list[JobKey]:
    """Return the jobs that the run folder plans otherwise than this plan does; reports do not count.

    Raises RunError when its plan cannot be read.
    """
    before = {job.key: job.fingerprint for job in read_plan(run).jobs} if run.plan.exists() else {}
    trained = [job for job in plan.jobs if not job.waits_for_all_ended]
    return [job.key for job in trained if before.get(job.key, job.fingerprint) != job.fingerprint]


def refuse_other_plan(run: RunFolder, plan: Plan) -> None:
    """Raise RunError when the run folder holds another plan than this one: a name must not mean two things."""
    changed = set(changed_jobs(run, plan))
    if not changed:
        return
    by_stage = {job.key.stage: job for job in plan.jobs if job.key in changed}
    differences = [
        f"{stage}: {', '.join(words)}" for stage, job in by_stage.items() if (words := _own(run, job, plan.folders))
    ]
    rest = "" if differences else "its parents differ"
    raise RunError(
        f"{run.path} holds another plan ({'; '.join(differences) or rest}). "
        f"Choose a new --run name, or --again to set the old stages aside and train anew"
    )


def _own(run: RunFolder, job: PlannedJob, folders: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what a job itself does otherwise; nothing where only its parents do."""
    try:
        before = read_spec(run.stage(job.key))
    except RunError:
        return ["differs"]
    now = job.spec
    pairs = ((before.settings, now.settings, ".settings"), (before.data, now.data, ".data"))
    words = [word for old, new, part in pairs for word in _differing(to_builtins(old), to_builtins(new), part)]
    if words:
        return [*words[:MOST_NAMED], *([f"{len(words) - MOST_NAMED} more"] if len(words) > MOST_NAMED else [])]
    if before.parents != now.parents:
        return []
    return list(_changed_contents(run, job, folders)) or [UNRECORDED]


def _changed_contents(run: RunFolder, job: PlannedJob, folders: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield ``the source of model 'x' has changed`` for all that counts by its content and is another now."""
    kept = read_counted(run)
    before = kept.stages.get(job.key.stage, {})
    for words, digest in job.counted.items():
        if before.get(words, digest) == digest:
            continue
        root = words.removeprefix(CONTENT_OF)
        counted = root in kept.folders and root in folders
        yield file_changes(root, kept.folders[root], folders[root]) if counted else f"{words} has changed"


def _differing(before: object, after: object, key: str) -> Iterator[str]:
    """Yield ``epochs was 3, is 5`` for every value that differs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from _differing(before.get(name), after.get(name), f"{key}.{name}")
    elif before != after:
        yield f"{key.removeprefix('.settings.').removeprefix('.')} was {shown(before)}, is {shown(after)}"
