"""Choosing the partition of a job. Pure functions.

Without the cluster's state the choice is the profile's own order; ``slurm.placement.ranking`` ranks by the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from kd.rundir.stage_spec import AnySpec, Needs
from slurm.cluster.profile import Profile
from slurm.placement.choice import Candidate, Choice
from slurm.placement.profile_limits import declared_refusal

if TYPE_CHECKING:
    from slurm.cluster.partitions_and_nodes import LiveState

NONE_AHEAD: Mapping[tuple[str, str | None], int] = MappingProxyType({})


def choose_partition(
    profile: Profile,
    live: LiveState | None,
    needs: Needs,
    *,
    jobs: int = 1,
    spec: AnySpec | None = None,
    ahead: Mapping[tuple[str, str | None], int] = NONE_AHEAD,
) -> Choice:
    """Rank the partitions for ``jobs`` equal jobs. ``spec`` (that of one) finds what earlier stages measured.

    ``ahead`` counts the jobs of this submission that start beside these, by partition and GPU type.
    ``live`` None: the first partition of the profile that fits. A job without GPUs goes to the profile's CPU partition.
    """
    if not needs.gpus:
        name = profile.cpu_partition or (profile.partitions[0].name if profile.partitions else None)
        candidates = () if name is None else (Candidate(partition=name),)
        return Choice(needs=needs, jobs=jobs, candidates=candidates, winners=len(candidates))
    if live is None:
        return _declared_choice(profile, needs, jobs)
    from slurm.placement.ranking import rank_partitions  # late: a dry run needs nothing of it

    return rank_partitions(profile, live, needs, jobs=jobs, spec=spec, ahead=ahead)


def _declared_choice(profile: Profile, needs: Needs, jobs: int) -> Choice:
    found = [
        Candidate(
            partition=partition.name, gpu_type=partition.gpu_type, refusal=declared_refusal(partition, needs, profile)
        )
        for partition in profile.partitions
    ]
    ranked = sorted(found, key=lambda candidate: not candidate.fits)
    return Choice(needs=needs, jobs=jobs, candidates=tuple(ranked), winners=int(bool(ranked) and ranked[0].fits))
