"""Everything that a submission needs, checked: what kd-submit makes of its command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kd.rundir.folders import JobKey, RunFolder
from slurm.cluster.profile import Profile
from slurm.submission.lenders import Trusted, trusted

if TYPE_CHECKING:
    from kd.jobfile.plan import Plan
    from kd.jobfile.stage import Pipeline
    from slurm.submission.executors import Executor


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to submit, where, and how. ``workers``: local processes at a time, 0 for one per processor.

    ``chosen`` must be there in the end; ``redone`` are those of them that count as missing although they are finished.
    """

    pipeline: Pipeline
    plan: Plan
    run: RunFolder
    executor: Executor
    cluster: str
    profile: Profile
    chosen: frozenset[JobKey]
    redone: frozenset[JobKey] = frozenset()
    workers: int = 0
    reuse_from: Trusted = field(default_factory=trusted)  # whose finished jobs are taken over
