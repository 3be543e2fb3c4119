"""Images that cannot fit in the memory their jobs ask for, found at submission and not after hours in the queue."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from kd.jobfile.memory_forecast import FEWER, GIBIBYTE, images_forecast
from kd.jobfile.plan import Plan, PlannedJob
from kd.rundir.folders import JobKey
from slurm.cluster.gpus import family

# The memory of each model in GiB, the larger one where it was made with several: what exceeds it fits in none.
GPU_MEMORY = {
    "k80": 12, "p100": 16, "t4": 16, "2080ti": 11, "a4000": 16, "l4": 24, "a10": 24, "v100": 32, "a5000": 24,
    "3090": 24, "a30": 24, "a40": 48, "a6000": 48, "l40": 48, "4090": 24, "l40s": 48, "a100": 80, "h100": 94,
    "h200": 141, "gh200": 144, "b200": 192,
}  # fmt: skip
MIB = 1 << 20


def images_beyond_memory(plan: Plan, keys: Collection[JobKey]) -> list[str]:
    """Return a line for every stage of these jobs whose images cannot fit in resources.memory, or in its GPU type."""
    first = {job.key.stage: job for job in reversed(plan.jobs) if job.key in keys}
    return [line for stage in plan.by_stage() if stage in first for line in _beyond(first[stage])]


def _beyond(job: PlannedJob) -> Iterator[str]:
    found, needs = images_forecast(job.spec), job.needs
    if found is None:
        return
    asked = -(-found.memory // GIBIBYTE) + 1
    remedy = f"set resources.memory: {asked}G, or {FEWER}"
    if line := found.beyond(needs.memory_mb * MIB, "resources.memory", remedy):
        yield f"stages.{job.key.stage}: {line}"
    gpu_memory = memory_of_gpu(needs.gpu_type or "")
    if needs.gpus and gpu_memory and (line := found.beyond_gpu(gpu_memory, needs.gpu_type or "", FEWER)):
        yield f"stages.{job.key.stage}: {line}"


def memory_of_gpu(gpu_type: str) -> int | None:
    """Return the bytes of a GPU type: those in its name (``sxm4-80gb``), else its model's; None if unknown."""
    if named := re.search(r"(\d+)gb\b", gpu_type.lower()):
        return int(named[1]) * GIBIBYTE
    model = family(gpu_type)
    return GPU_MEMORY[model] * GIBIBYTE if model else None
