"""The site's limits, checked before anything is sent; every message names the fix. Pure; nothing here asks Slurm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kd.jobfile.quantities import format_minutes
from slurm.cluster.capabilities import Capabilities
from slurm.cluster.partitions_and_nodes import LiveState
from slurm.cluster.profile import Profile
from slurm.submission.request import Request


def within_capabilities(profile: Profile, capabilities: Capabilities) -> Profile:
    """Return the profile brought to what the cluster really does: the size of arrays, and whether sacct answers."""
    largest = largest_array(capabilities)
    return profile.model_copy(
        update={
            "max_array": profile.max_array if largest is None else min(profile.max_array, largest),
            "accounting": profile.accounting and capabilities.accounting,
        }
    )


def largest_array(capabilities: Capabilities) -> int | None:
    """Return how many jobs an array may have; 1 where arrays are switched off (MaxArraySize 0), None if unknown."""
    size = capabilities.max_array_size
    return None if size is None else max(1, size - 1)


def check_limits(
    requests: Sequence[Request], capabilities: Capabilities, live: LiveState | None = None, *, queued: int = 0
) -> list[str]:
    """Return one line for every limit that these requests would break; none when all may be sent.

    ``queued`` counts the user's jobs that are in the queue already: they count towards the limit of submitted jobs.
    """
    arrays = _arrays(requests, capabilities)
    return [*arrays, *_totals(requests, capabilities, queued), *_times(requests, capabilities, live)]


def time_warnings(requests: Iterable[Request], signal_seconds: int) -> Iterator[str]:
    """Yield a line for every stage that is told to stop before half of its time is over: it would burn its restarts."""
    stages = {request.stage: request.jobs[0].needs.minutes for request in requests}
    for stage, minutes in stages.items():
        left = minutes * 60 - signal_seconds
        if left < signal_seconds:
            yield (
                f"{stage}: asks for {format_minutes(minutes)} and is told to stop {signal_seconds} s before their end "
                f"(signal_seconds): each start has {max(0, left)} s; raise resources.time or lower signal_seconds"
            )


def _arrays(requests: Iterable[Request], capabilities: Capabilities) -> Iterator[str]:
    largest = largest_array(capabilities)
    for request in requests:
        if largest is not None and len(request.jobs) > largest:
            yield (
                f"{request.name}: an array of {len(request.jobs)} jobs, where this cluster takes {largest} "
                f"(MaxArraySize): set max_array: {largest} in the cluster profile"
            )


def _totals(requests: Sequence[Request], capabilities: Capabilities, queued: int) -> Iterator[str]:
    jobs = sum(len(request.jobs) for request in requests)
    fix = "submit fewer at a time with --seeds or --only, and the rest when these have ended"
    beside = f" beside {queued} in the queue" if queued else ""
    limit = capabilities.max_submit
    if limit is not None and jobs + queued > limit:
        yield f"{jobs} jobs{beside}: {capabilities.max_submit_of} allows {limit} (MaxSubmitJobs): {fix}"
    whole = capabilities.max_job_count
    if whole is not None and jobs > whole:
        yield f"{jobs} jobs: this cluster holds {whole} of all users (MaxJobCount): {fix}"


def _times(requests: Iterable[Request], capabilities: Capabilities, live: LiveState | None) -> Iterator[str]:
    """Yield what Slurm would accept and then leave in the queue for ever (or refuse, with EnforcePartLimits)."""
    seen: set[str] = set()
    for request in requests:
        minutes = request.jobs[0].needs.minutes
        limits = list(_time_limits(request.parameters.get("partition"), capabilities, live))
        if request.stage in seen or not limits or minutes <= (least := min(limits))[0]:
            continue
        seen.add(request.stage)
        allowed = format_minutes(least[0])
        yield (
            f"{request.stage}: asks for {format_minutes(minutes)}, {least[1]} allows {allowed}: "
            f"lower stages.{request.stage}.resources.time to {allowed}"
        )


def _time_limits(
    partition: str | None, capabilities: Capabilities, live: LiveState | None
) -> Iterator[tuple[int, str]]:
    if capabilities.max_minutes is not None:
        yield capabilities.max_minutes, capabilities.max_minutes_of
    if live is None:
        return
    names = partition.split(",") if partition else [found.name for found in live.partitions.values() if found.default]
    for name in names:
        found = live.partitions.get(name)
        if found is not None and found.max_minutes is not None:
            yield found.max_minutes, f"partition {name}"
