"""Jobs of one plan that are the same: stages whose fingerprints are equal are trained once, by the first of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kd.jobfile.plan import Plan
from kd.rundir.borrowed_file import read_pins
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.job_evidence import owner_of
from slurm.submission.reuse import Borrowed


def taken_from_finished(
    run: RunFolder, plan: Plan, wanted: Collection[JobKey], finished: Collection[JobKey]
) -> list[Borrowed]:
    """Return the wanted jobs that another stage of this run has finished."""
    makers = _first_of_each(plan, finished)
    pairs = ((key, makers.get(fingerprint)) for key, fingerprint in _fingerprints(plan, wanted))
    return [_taken(run, key, maker) for key, maker in pairs if maker is not None and maker != key]


def shared_jobs(plan: Plan, pending: Collection[JobKey], alive: Collection[JobKey]) -> dict[JobKey, JobKey]:
    """Return the pending jobs that need no training of their own, with the job that is trained in their stead.

    That one waits or runs already, or is the first of the pending ones.
    """
    makers = {**_first_of_each(plan, pending), **_first_of_each(plan, set(alive).difference(pending))}
    return {key: makers[fingerprint] for key, fingerprint in _fingerprints(plan, pending) if makers[fingerprint] != key}


def taken_from_shared(run: RunFolder, shared: Iterable[tuple[JobKey, JobKey]]) -> list[Borrowed]:
    """Return how the shared jobs appear in this run: as the job that is trained in their stead."""
    return [_taken(run, key, maker) for key, maker in shared]


def _fingerprints(plan: Plan, keys: Collection[JobKey]) -> list[tuple[JobKey, str]]:
    return [(job.key, job.fingerprint) for job in plan.jobs if job.key in keys and not job.waits_for_all_ended]


def _first_of_each(plan: Plan, keys: Collection[JobKey]) -> dict[str, JobKey]:
    """Return the first of the keys for each fingerprint, in the plan's order."""
    return {fingerprint: key for key, fingerprint in reversed(_fingerprints(plan, keys))}


def _taken(run: RunFolder, key: JobKey, maker: JobKey) -> Borrowed:
    owner = owner_of(run.stage(maker))  # the maker may itself be taken over from another run
    ours = owner.run.path in (run.path, run.path.resolve())
    pin = None if ours else read_pins(run).get(str(maker))
    return Borrowed(key=key, lender=owner.run, folder=owner.path, job_id=None, pin=pin, same_as=maker if ours else None)
