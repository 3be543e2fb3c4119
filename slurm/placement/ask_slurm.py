"""Asking Slurm for the state that a ranking needs: two calls, and a few ``sbatch --test-only`` where GPUs are busy."""

from __future__ import annotations

import grp
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from kd.errors import ClusterError
from kd.rundir.stage_spec import Needs
from slurm.cluster.capabilities import Capabilities, capabilities
from slurm.cluster.job_states import parse_time
from slurm.cluster.measured_throughput import Measurement, read_history
from slurm.cluster.partitions_and_nodes import (
    NODE_COMMAND,
    PARTITION_COMMAND,
    ExpectedStart,
    LiveState,
    parse_partitions,
)
from slurm.cluster.profile import Profile
from slurm.cluster.slurm_commands import call
from slurm.placement.choice import Candidate
from slurm.placement.choose_partition import choose_partition
from slurm.placement.job_options import job_options

SECONDS = 30.0
# `sbatch: Job 11 to start at 2026-11-20T11:33:44 using 1 processors on …`; Slurm 25.05 adds `a` before `using`.
_START = re.compile(r"to start at (\S+)")
_REFUSAL = re.compile(r"(?:allocation failure|Batch job submission failed): ([^\n]+)")
_NO_ANSWER = re.compile(r"timed out|unable to contact|connect", re.IGNORECASE)


def cluster_now(
    cluster: str, profile: Profile, wanted: Iterable[Needs], results: Path, *, refresh: bool = False
) -> tuple[Capabilities, LiveState]:
    """Return all that a ranking needs: the cluster's capabilities, its state now, what stages in ``results`` measured.

    ``refresh`` asks for the capabilities anew. Raises ClusterError when Slurm does not answer.
    """
    known = capabilities(profile.account, profile.qos, refresh=refresh)
    history = read_history(results, cluster, profile)
    return known, live_state(profile, wanted, known=known, history=history)


def live_state(
    profile: Profile,
    wanted: Iterable[Needs],
    *,
    known: Capabilities | None = None,
    history: tuple[Measurement, ...] = (),
) -> LiveState:
    """Return the cluster as it is now, with expected starts for these needs where no job could start at once.

    ``known`` has the user's default account and QOS. Raises ClusterError when Slurm does not answer.
    """
    live = LiveState(
        partitions=parse_partitions(_answer(*PARTITION_COMMAND), _answer(*NODE_COMMAND)),
        account=profile.account or (known.default_account if known else None),
        qos=profile.qos or (known.default_qos if known else None),
        groups=_groups(),
        history=history,
    )
    return replace(live, starts=_starts(profile, live, wanted))


def _starts(
    profile: Profile, live: LiveState, wanted: Iterable[Needs]
) -> dict[tuple[str, str | None, Needs], ExpectedStart]:
    """Ask Slurm about the busy candidates, the fastest of each need first, up to the profile's limit of calls."""
    queues = []
    for needs in dict.fromkeys(needs for needs in wanted if needs.gpus):
        busy = [
            candidate for candidate in choose_partition(profile, live, needs).candidates if _worth_asking(candidate)
        ]
        queues.append([(needs, candidate) for candidate in sorted(busy, key=lambda candidate: candidate.work or 0.0)])
    rounds = range(max(map(len, queues), default=0))
    in_turn = [queue[index] for index in rounds for queue in queues if index < len(queue)]
    found = {}
    for needs, candidate in in_turn[: profile.start_tests]:
        found[candidate.partition, candidate.gpu_type, needs] = _test(profile, needs, candidate)
    return found


def _worth_asking(candidate: Candidate) -> bool:
    return candidate.fits and not candidate.slots


def _test(profile: Profile, needs: Needs, candidate: Candidate) -> ExpectedStart:
    """Return the answer of ``sbatch --test-only``. It looks at running jobs only: a lower bound.

    One partition a call: of a list, Slurm 22.05 tries one only.
    """
    pinned = structs.replace(needs, gpu_type=candidate.gpu_type) if candidate.pin else needs
    options: dict[str, object] = {
        "partition": candidate.partition,
        "time": needs.minutes,
        "nodes": 1,
        "ntasks-per-node": 1,
        **job_options(pinned, profile, candidate.partition, exclude=candidate.exclude),
    }
    answer = call("sbatch", "--test-only", *_arguments(options), seconds=SECONDS, text="#!/bin/sh\n")
    return read_start(answer.stderr + answer.stdout, time.time())


def _arguments(options: Mapping[str, object]) -> list[str]:
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]


def read_start(text: str, now: float) -> ExpectedStart:
    """Read the answer of ``sbatch --test-only``. An answer without either is no start and no refusal."""
    if found := _START.search(text):
        start = parse_time(found[1])
        # Whole minutes: the answers of two calls differ by the time between them.
        return ExpectedStart(None if start is None else round(max(0.0, start - now) / 60) * 60.0)
    refusal = _REFUSAL.search(text)
    if refusal is None or _NO_ANSWER.search(refusal[1]):
        return ExpectedStart(None)
    return ExpectedStart(None, refusal[1].strip())


def _groups() -> frozenset[str] | None:
    """Return the names of this user's groups; None for root, whom no list keeps out, and where one has no name here."""
    if os.getuid() == 0:
        return None
    try:
        return frozenset(grp.getgrgid(group).gr_name for group in {os.getgid(), *os.getgroups()})
    except KeyError:
        return None


def _answer(*command: str) -> str:
    answer = call(*command, seconds=SECONDS)
    if answer.returncode != 0:
        error = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
        raise ClusterError(f"{command[0]} does not answer: {error}")
    return answer.stdout
