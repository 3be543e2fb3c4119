"""The hard limits: whether a job could ever run in a partition, and if not, why. Pure; nothing is weighed here."""

from __future__ import annotations

from dataclasses import dataclass

from kd.spec.plan import Needs
from kd.spec.quantities import format_minutes
from slurm.cluster import Partition, Profile
from slurm.gpus import family, is_slice
from slurm.live import LivePartition, LiveState, Node

_STATES = {"DOWN": "is down", "DRAIN": "takes no new jobs (drain)", "INACTIVE": "is switched off (inactive)"}


def declared_refusal(partition: Partition, needs: Needs, profile: Profile) -> str | None:
    """Return the limit of the profile's own that a job breaks in a partition, or None."""
    if needs.gpu_type and partition.gpu_type and needs.gpu_type != partition.gpu_type:
        return f"has {partition.gpu_type}, not {needs.gpu_type}"
    if needs.gpu_type and profile.gpu_type_as == "partition" and not partition.gpu_type:
        return "the profile does not say which GPUs it has (gpu_type)"
    if too_long := _time_refusal(partition.max_time, needs):
        return too_long
    if partition.gpus_per_node is not None and needs.gpus > partition.gpus_per_node:
        return _too_much(f"{partition.gpus_per_node} GPUs", needs.gpus, "gpus")
    if partition.cpus_per_node is not None and needs.cpus > partition.cpus_per_node:
        return _too_much(f"{partition.cpus_per_node} CPUs", needs.cpus, "cpus")
    if partition.memory_per_node is not None and needs.memory_mb > partition.memory_per_node:
        return _too_much(f"{partition.memory_per_node} MiB", f"{needs.memory_mb} MiB", "memory")
    return None


def live_refusal(partition: LivePartition, live: LiveState, needs: Needs) -> str | None:
    """Return why a partition takes no such job of this user, whatever its nodes do, or None."""
    if partition.state != "UP":
        return _STATES.get(partition.state, f"is {partition.state.lower()}")
    if partition.root_only:
        return "only root may use it"
    for access, name, key in ((partition.accounts, live.account, "account"), (partition.qos, live.qos, "qos")):
        if name is not None and not access.admits(name.lower()):
            return f"not open to {key} {name} (set {key} in the cluster profile)"
    if live.groups is not None and not any(partition.groups.admits(group.lower()) for group in live.groups):
        return f"open to group {', '.join(sorted(partition.groups.allowed or ()))} only"
    if too_long := _time_refusal(partition.max_minutes, needs):
        return too_long
    if partition.max_cpus_per_node is not None and needs.cpus > partition.max_cpus_per_node:
        return _too_much(f"{partition.max_cpus_per_node} CPUs", needs.cpus, "cpus")
    if partition.max_memory_mb is not None and needs.memory_mb > partition.max_memory_mb:
        return _too_much(f"{partition.max_memory_mb} MiB", f"{needs.memory_mb} MiB", "memory")
    return None


def _time_refusal(limit: int | None, needs: Needs) -> str | None:
    if limit is None or needs.minutes <= limit:
        return None
    asked = format_minutes(needs.minutes)
    return f"allows {format_minutes(limit)}, the stage asks for {asked} (lower resources.time)"


def _too_much(most: str, asked: object, key: str) -> str:
    return f"has {most} a node at most, the stage asks for {asked} (lower resources.{key})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What the nodes of a partition offer to jobs of one kind, on GPUs of one type.

    ``slots``: jobs that could start now; ``capacity``: that could run at once on empty nodes; ``refusal``: why none.
    """

    free_gpus: int
    gpus: int
    slots: int
    capacity: int
    refusal: str | None


def gpu_types(partition: LivePartition, profile: Profile, declared: str | None) -> list[str | None]:
    """Return the GPU types of a partition in the order of its nodes; None stands for GPUs whose type nobody tells."""
    found = [name for node in partition.nodes for name in _offer(node, profile, declared)]
    return list(dict.fromkeys(found))


def room(partition: LivePartition, gpu_type: str | None, needs: Needs, profile: Profile, declared: str | None) -> Room:
    """Count the places for jobs of these needs on GPUs of one type, node by node: a job never spans nodes."""
    own = [node for node in partition.nodes if gpu_type in _offer(node, profile, declared)]
    usable = [node for node in own if node.usable]
    total = {node.name: _offer(node, profile, declared)[gpu_type] for node in own}
    free = {
        node.name: _offer(node, profile, declared, free=True)[gpu_type] for node in usable if not node.promised
    }
    capacity = sum(
        _places(needs, profile, total[node.name], node.cpus, node.memory_mb) for node in usable
    )
    slots = sum(
        _places(needs, profile, free[node.name], node.free_cpus, node.free_memory_mb)
        for node in usable
        if node.name in free
    )
    return Room(
        free_gpus=sum(free.values()),
        gpus=sum(total.values()),
        slots=min(slots, capacity),
        capacity=capacity,
        refusal=None if capacity else _no_room(own, usable, total, needs, profile),
    )


def _offer(node: Node, profile: Profile, declared: str | None, *, free: bool = False) -> dict[str | None, int]:
    """Return a node's GPUs by the types that this site's jobs can ask for.

    ``declared`` is the type that the profile gives the partition; it names GPUs that Slurm counts without a type.
    """
    gpus = node.free_gpus if free else node.gpus
    if profile.gpu_type_as == "gres":
        # MIG slices are types of their own; a GPU without a type is of the declared one.
        return {name or declared: count for name, count in gpus.items() if node.gpus[name]}
    if not any(node.gpus.values()):
        return {}
    whole = sum(count for name, count in gpus.items() if not is_slice(name))
    return {declared or _feature_type(node, profile): whole}


def _feature_type(node: Node, profile: Profile) -> str | None:
    """Return the feature that tells a node's GPU type: one the profile has a speed for, else a well-known model."""
    listed = [feature for feature in node.features if feature in profile.gpu_speed]
    known = [feature for feature in node.features if family(feature)]
    return next(iter([*listed, *known]), None)


def _places(needs: Needs, profile: Profile, gpus: int, cpus: int, memory_mb: int) -> int:
    """Return how many such jobs these resources of one node hold. What the profile omits is not asked for."""
    limits = [gpus // needs.gpus]
    if "cpus" not in profile.omit:
        limits.append(cpus // needs.cpus)
    if "memory" not in profile.omit:
        limits.append(memory_mb // needs.memory_mb)
    return min(limits)


def _no_room(
    own: list[Node], usable: list[Node], total: dict[str, int], needs: Needs, profile: Profile
) -> str:
    if not usable:
        return f"its {'node is' if len(own) == 1 else f'{len(own)} nodes are all'} down, drained or silent"
    if (gpus := max(total[node.name] for node in usable)) < needs.gpus:
        return _too_much(f"{gpus} GPU{'s' if gpus > 1 else ''}", needs.gpus, "gpus")
    if "cpus" not in profile.omit and (cpus := max(node.cpus for node in usable)) < needs.cpus:
        return _too_much(f"{cpus} CPUs", needs.cpus, "cpus")
    if "memory" not in profile.omit and (memory := max(node.memory_mb for node in usable)) < needs.memory_mb:
        return _too_much(f"{memory} MiB", f"{needs.memory_mb} MiB", "memory")
    return "no node has so many GPUs, CPUs and so much memory together (lower resources)"
