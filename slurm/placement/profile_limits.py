"""The hard limits that a cluster profile declares: what a dry run can check on a machine without Slurm. Pure."""

from __future__ import annotations

from kd.jobfile.quantities import format_minutes
from kd.rundir.stage_spec import Needs
from slurm.cluster.profile import Partition, Profile


def declared_refusal(partition: Partition, needs: Needs, profile: Profile) -> str | None:
    """Return the limit of the profile's own that a job breaks in a partition, or None."""
    if needs.gpu_type and partition.gpu_type and needs.gpu_type != partition.gpu_type:
        return f"has {partition.gpu_type}, not {needs.gpu_type}"
    if needs.gpu_type and profile.gpu_type_as == "partition" and not partition.gpu_type:
        return "the profile does not say which GPUs it has (gpu_type)"
    if too_long := time_refusal(partition.max_time, needs):
        return too_long
    if partition.gpus_per_node is not None and needs.gpus > partition.gpus_per_node:
        return too_much(f"{partition.gpus_per_node} GPUs", needs.gpus, "gpus")
    if partition.cpus_per_node is not None and needs.cpus > partition.cpus_per_node:
        return too_much(f"{partition.cpus_per_node} CPUs", needs.cpus, "cpus")
    if partition.memory_per_node is not None and needs.memory_mb > partition.memory_per_node:
        return too_much(f"{partition.memory_per_node} MiB", f"{needs.memory_mb} MiB", "memory")
    return None


def time_refusal(limit: int | None, needs: Needs) -> str | None:
    """Return why a job of this length breaks a time limit in minutes (None: there is none), or None."""
    if limit is None or needs.minutes <= limit:
        return None
    asked = format_minutes(needs.minutes)
    return f"allows {format_minutes(limit)}, the stage asks for {asked} (lower resources.time)"


def too_much(most: str, asked: object, key: str) -> str:
    """Return the words for a job that asks more of one node than it has; ``key`` is what to lower."""
    return f"has {most} a node at most, the stage asks for {asked} (lower resources.{key})"
