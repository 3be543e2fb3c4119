"""The hard limits of the cluster as it is: whether a job could ever run in a partition, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kd.rundir.stage_spec import Needs
from slurm.cluster.gpus import family, is_slice
from slurm.cluster.partitions_and_nodes import LivePartition, LiveState, Node
from slurm.cluster.profile import Profile
from slurm.placement.profile_limits import time_refusal, too_much

_STATES = {"DOWN": "is down", "DRAIN": "takes no new jobs (drain)", "INACTIVE": "is switched off (inactive)"}


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
    if too_long := time_refusal(partition.max_minutes, needs):
        return too_long
    if partition.max_cpus_per_node is not None and needs.cpus > partition.max_cpus_per_node:
        return too_much(f"{partition.max_cpus_per_node} CPUs", needs.cpus, "cpus")
    if partition.max_memory_mb is not None and needs.memory_mb > partition.max_memory_mb:
        return too_much(f"{partition.max_memory_mb} MiB", f"{needs.memory_mb} MiB", "memory")
    return None


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


def gpu_types(partition: LivePartition, profile: Profile, needs: Needs) -> list[str | None]:
    """Return the GPU types of a partition as this site's jobs ask for them, in the order of its nodes.

    None means GPUs that cannot be asked for by type.
    """
    return list(dict.fromkeys(name for node in partition.nodes for name in _offer(node, node.gpus, profile, needs)))


def room(partition: LivePartition, gpu_type: str | None, needs: Needs, profile: Profile) -> Room:
    """Count the places for jobs of these needs on GPUs of one type, node by node: a job never spans nodes."""
    gpus = {node: _offer(node, node.gpus, profile, needs).get(gpu_type, 0) for node in partition.nodes}
    own = [node for node in partition.nodes if gpus[node]]
    usable = [node for node in own if node.usable]
    now = {node: _offer(node, node.free_gpus, profile, needs).get(gpu_type, 0) for node in usable if not node.promised}
    capacity = sum(_places(needs, profile, gpus[node], node.cpus, node.memory_mb) for node in usable)
    slots = sum(_places(needs, profile, free, node.free_cpus, node.free_memory_mb) for node, free in now.items())
    return Room(
        free_gpus=sum(now.values()),
        gpus=sum(gpus.values()),
        slots=slots,
        capacity=capacity,
        refusal=None if capacity else _no_room(len(own), {node: gpus[node] for node in usable}, needs, profile),
    )


def _offer(node: Node, gpus: Mapping[str, int], profile: Profile, needs: Needs) -> dict[str | None, int]:
    """Return some GPUs of a node (all, or the free ones) by the types that this site's jobs can ask for."""
    if profile.gpu_type_as == "gres":  # MIG slices are types of their own
        return {name or None: count for name, count in gpus.items()}
    whole = sum(count for name, count in gpus.items() if not is_slice(name))
    if not node.gpus:
        return {}
    if profile.gpu_type_as == "partition":
        return {None: whole}
    wanted = needs.gpu_type if needs.gpu_type in node.features else None
    return {wanted or _feature_type(node, profile): whole}


def _feature_type(node: Node, profile: Profile) -> str | None:
    """Return the feature that names a node's GPU type: one the profile has a speed for, else a well-known model."""
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


def _no_room(nodes: int, usable: Mapping[Node, int], needs: Needs, profile: Profile) -> str:
    """Return why no usable node (with its number of GPUs) ever holds such a job."""
    if not usable:
        return f"its {'node is' if nodes == 1 else f'{nodes} nodes are all'} down, drained or silent"
    if (gpus := max(usable.values())) < needs.gpus:
        return too_much(f"{gpus} GPU{'s' if gpus > 1 else ''}", needs.gpus, "gpus")
    if "cpus" not in profile.omit and (cpus := max(node.cpus for node in usable)) < needs.cpus:
        return too_much(f"{cpus} CPUs", needs.cpus, "cpus")
    if "memory" not in profile.omit and (memory := max(node.memory_mb for node in usable)) < needs.memory_mb:
        return too_much(f"{memory} MiB", f"{needs.memory_mb} MiB", "memory")
    return "no node has so many GPUs, CPUs and so much memory together (lower resources)"
