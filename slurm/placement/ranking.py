"""Ranking partitions by the cluster's state: hard limits first, then who is expected to finish first. Pure functions.

    finish = expected start + work / speed of the GPU type, times the rounds that all jobs of the stage need

The start is now where GPUs, processors and memory are free together on a node, else Slurm's own lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kd.rundir.stage_spec import AnySpec, Needs
from slurm.cluster.gpus import is_slice, speed_of
from slurm.cluster.measured_throughput import measured_speeds, measured_work, setup_of
from slurm.cluster.partitions_and_nodes import ExpectedStart, LivePartition, LiveState
from slurm.cluster.profile import Partition, Profile
from slurm.placement.choice import UNLISTED, Candidate, Choice
from slurm.placement.live_limits import Room, gpu_types, live_refusal, room
from slurm.placement.profile_limits import declared_refusal

# Partitions with the same GPUs whose expected finish differs by less are equals: the estimate is no better.
EQUAL_WITHIN = 0.1


def rank_partitions(
    profile: Profile,
    live: LiveState,
    needs: Needs,
    *,
    jobs: int,
    spec: AnySpec | None,
    ahead: Mapping[tuple[str, str | None], int],
) -> Choice:
    """Return the ranking for ``jobs`` equal jobs with GPUs; see ``slurm.placement.choose_partition``."""
    found = list(_candidates(profile, live, needs))
    speeds = measured_speeds(profile.gpu_speed, live.history, setup_of(spec) if spec else None)
    measured = measured_work(spec, live.history, speeds) if spec else None
    work = _limit_as_work(found, needs, speeds) if measured is None else measured
    timed = []
    for candidate in found:
        start = live.starts.get((candidate.partition, candidate.gpu_type, needs), ExpectedStart(None))
        started = _started(candidate, start) if candidate.fits else candidate
        before = ahead.get((candidate.partition, candidate.gpu_type), 0)
        timed.append(_timed(started, work, speeds, jobs, before, profile.parallel) if started.fits else started)
    ranked = _ranked(timed)
    winners = _equals(ranked, profile)
    return Choice(
        needs=needs, jobs=jobs, live=True, measured=measured is not None, candidates=tuple(ranked), winners=winners
    )


def _candidates(profile: Profile, live: LiveState, needs: Needs) -> Iterator[Candidate]:
    """Yield every partition, the profile's first and in its order; one candidate for each GPU type it offers.

    A profile without partitions leaves the choice among all that Slurm shows.
    """
    listed = {partition.name: partition for partition in profile.partitions}
    others = sorted((found for found in live.partitions.values() if found.name not in listed), key=_default_first)
    for name, declared in listed.items():
        if name in live.partitions:
            yield from _of_partition(live.partitions[name], declared, profile, live, needs)
        else:
            yield Candidate(partition=name, gpu_type=declared.gpu_type, refusal="Slurm shows you no such partition")
    for partition in others:
        if not listed:
            yield from _of_partition(partition, Partition(name=partition.name), profile, live, needs)
        elif types := gpu_types(partition, profile, needs):
            yield Candidate(partition=partition.name, gpu_type=types[0] if len(types) == 1 else None, refusal=UNLISTED)


def _default_first(partition: LivePartition) -> tuple[bool, str]:
    return not partition.default, partition.name


def _of_partition(
    partition: LivePartition, declared: Partition, profile: Profile, live: LiveState, needs: Needs
) -> Iterator[Candidate]:
    name = partition.name
    refusal = declared_refusal(declared, needs, profile) or live_refusal(
        partition, _asked_by(live, profile, name), needs
    )
    types = gpu_types(partition, profile, needs)
    if not types:
        yield Candidate(partition=name, refusal="has no GPUs")
        return
    pinned = needs.gpu_type is not None and profile.gpu_type_as != "partition"
    if pinned and needs.gpu_type not in types:
        yield Candidate(
            partition=name, gpu_type=declared.gpu_type, refusal=refusal or _other_types(types, needs, profile)
        )
        return
    for gpu_type in [needs.gpu_type] if pinned else types:
        space = room(partition, gpu_type, needs, profile)
        yield Candidate(
            partition=name,
            gpu_type=gpu_type or (declared.gpu_type if len(types) == 1 else None),
            exclude=_typed_nodes(partition) if gpu_type is None and len(types) > 1 else (),
            refusal=refusal or _unasked_slice(gpu_type, profile, pinned) or space.refusal,
            pin=gpu_type is not None and len(types) > 1,
            free_gpus=space.free_gpus,
            gpus=space.gpus,
            slots=space.slots,
            capacity=space.capacity,
            preempts_to=partition.preempts_to,
            notes=_notes(space, needs),
        )


def _asked_by(live: LiveState, profile: Profile, partition: str) -> LiveState:
    """Return the state with the account and QOS that the profile gives to GPU jobs of this partition."""
    own = profile.options(with_gpu=True, partition=partition)
    return replace(live, account=own.account or live.account, qos=own.qos or live.qos)


def _typed_nodes(partition: LivePartition) -> tuple[str, ...]:
    """Return the nodes with typed GPUs: a job that asks for no type would be given one of any type there."""
    return tuple(node.name for node in partition.nodes if any(node.gpus))


def _other_types(types: Sequence[str | None], needs: Needs, profile: Profile) -> str:
    known = [name for name in types if name is not None]
    if known:
        return f"has {', '.join(known)}, not {needs.gpu_type}"
    where = "in gres" if profile.gpu_type_as == "gres" else "as a feature"
    return f"Slurm does not tell its GPUs' type {where} (see gpu_type_as in the cluster profile)"


def _unasked_slice(gpu_type: str | None, profile: Profile, pinned: bool) -> str | None:
    if gpu_type is None or pinned or gpu_type in profile.gpu_speed or not is_slice(gpu_type):
        return None
    return "parts of a GPU (MIG), taken only when resources.gpu_type names them"


def _notes(space: Room, needs: Needs) -> tuple[str, ...]:
    if space.slots or space.free_gpus < needs.gpus:
        return ()
    return (f"of its free GPUs ({space.free_gpus}) no node has enough beside free CPUs and memory",)


def _limit_as_work(found: Sequence[Candidate], needs: Needs, speeds: Mapping[str, float]) -> float:
    """Return the work in seconds at speed 1, taking the time limit for what the slowest fitting GPU type needs."""
    fitting = [speed_of(candidate.gpu_type, speeds) or 1.0 for candidate in found if candidate.fits]
    return needs.minutes * 60 * min(fitting, default=1.0)


def _started(candidate: Candidate, start: ExpectedStart) -> Candidate:
    """Add the expected start: now where a job has room, else Slurm's own estimate, which may be a refusal."""
    if start.refusal:
        return replace(candidate, refusal=f"Slurm refuses: {start.refusal}")
    return replace(candidate, start=0.0 if candidate.slots else start.seconds)


def _timed(
    candidate: Candidate, work: float, speeds: Mapping[str, float], jobs: int, ahead: int, parallel: int | None
) -> Candidate:
    """Add one job's time and the finish of all. ``work`` is in seconds at speed 1; jobs ``ahead`` take their turn."""
    speed = speed_of(candidate.gpu_type, speeds)
    notes = candidate.notes
    if speed is None and candidate.gpu_type is not None:
        notes = (*notes, f"speed of {candidate.gpu_type} unknown: counted as 1 (gpu_speed in the cluster profile)")
    own = work / (speed or 1.0)
    places = candidate.slots or candidate.capacity
    assert places, "a candidate without room does not fit"
    if ahead:
        notes = (*notes, f"shared with {ahead} more of this run")
    rounds = max(math.ceil(jobs / min(places, parallel or places)), math.ceil((jobs + ahead) / places))
    finish = None if candidate.start is None else candidate.start + rounds * own
    return replace(candidate, work=own, finish=finish, notes=notes)


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sort: soonest finish first, unknown starts after known ones, then what does not fit. Ties keep their order."""

    def key(candidate: Candidate) -> tuple[bool, bool, float, bool]:
        time = candidate.finish if candidate.finish is not None else candidate.work
        return not candidate.fits, candidate.finish is None, time or 0.0, candidate.preempts_to is not None

    return sorted(candidates, key=key)


def _equals(ranked: Sequence[Candidate], profile: Profile) -> int:
    """Return how many of the first are as good as the first, have the same GPUs and take the same options."""
    if not ranked or not ranked[0].fits:
        return 0
    best = ranked[0]
    count = 1
    if not profile.several_partitions or best.finish is None or best.gpu_type is None:
        return count
    options = profile.options(with_gpu=True, partition=best.partition)
    while (
        count < len(ranked)
        and _equal(ranked[count], best, best.finish)
        and profile.options(with_gpu=True, partition=ranked[count].partition) == options
    ):
        count += 1
    return count


def _equal(candidate: Candidate, best: Candidate, finish: float) -> bool:
    return (
        candidate.fits
        and candidate.gpu_type == best.gpu_type
        and candidate.exclude == best.exclude
        and candidate.preempts_to == best.preempts_to
        and candidate.finish is not None
        and candidate.finish <= finish * (1 + EQUAL_WITHIN)
    )
