"""The cluster as it is now, as values: partitions, nodes and their free GPUs, read from scontrol's and sinfo's text.

Reading is pure and asks nobody; ``slurm.placement.ask_slurm`` asks. Text formats are used because Slurm's JSON differs
from version to version (https://slurm.schedmd.com/scontrol.html, sinfo.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kd.jobfile.quantities import parse_minutes
from kd.rundir.stage_spec import Needs
from slurm.cluster.gpus import count_gpus, free_gpus
from slurm.cluster.measured_throughput import Measurement

PARTITION_COMMAND = ("scontrol", "--oneliner", "show", "partition")
# A field with a suffix but without a size is never cut. NodeList is the node's name: NodeHost may not be.
_NODE_FIELDS = (
    "NodeList",
    "Partition",
    "StateLong",
    "CPUsState",
    "Memory",
    "AllocMem",
    "features_act",
    "Gres",
    "GresUsed",
)
NODE_COMMAND = ("sinfo", "--noheader", "--Node", f"--Format={','.join(f'{name}:|' for name in _NODE_FIELDS)}")

# https://slurm.schedmd.com/sinfo.html, NODE STATE CODES. All other states take no jobs.
_TAKES_JOBS = ("idle", "mixed", "allocated", "completing", "planned")
# Not responding, in maintenance, rebooting, or being switched off; ~ and # (asleep, waking up) are fine.
_STAYS_AWAY = "*$@^!%"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Node:
    """One node. Memory is in MiB; ``""`` is the type of GPUs without one. A key by its identity."""

    name: str
    state: str
    cpus: int
    memory_mb: int
    free_cpus: int
    free_memory_mb: int
    features: tuple[str, ...] = ()
    gpus: Mapping[str, int] = field(default_factory=dict)
    free_gpus: Mapping[str, int] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether jobs can run on it, now or when others have ended: not down, drained or unreachable."""
        word = self.state.rstrip("*$@^!%~#+-")
        return word in _TAKES_JOBS and not any(sign in self.state for sign in _STAYS_AWAY)

    @property
    def promised(self) -> bool:
        """Whether what is free on it waits for a larger job."""
        return self.state.startswith("planned") or self.state.endswith("-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """A list of who may use a partition: accounts, QOS or groups. ``allowed`` None: everyone."""

    allowed: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()

    def admits(self, name: str) -> bool:
        """Whether the list lets this name in."""
        return (self.allowed is None or name in self.allowed) and name not in self.denied


@dataclass(frozen=True, kw_only=True, slots=True)
class LivePartition:
    """One partition with its nodes. ``preempts_to``: what becomes of a preempted job there, None where none is."""

    name: str
    state: str = "UP"
    default: bool = False
    max_minutes: int | None = None
    max_cpus_per_node: int | None = None
    max_memory_mb: int | None = None  # of one job on one node
    priority_tier: int = 1
    preempts_to: str | None = None
    root_only: bool = False
    accounts: Access = Access()
    qos: Access = Access()
    groups: Access = Access()
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedStart:
    """The answer of ``sbatch --test-only``: Slurm's earliest start in seconds from now, or its refusal."""

    seconds: float | None
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveState:
    """What is known of the cluster at one moment, by whom it is asked, and what earlier stages measured."""

    partitions: Mapping[str, LivePartition]
    account: str | None = None  # None: not known
    qos: str | None = None
    groups: frozenset[str] | None = None
    starts: Mapping[tuple[str, str | None, Needs], ExpectedStart] = field(default_factory=dict)
    history: tuple[Measurement, ...] = ()


def parse_partitions(partitions: str, nodes: str) -> dict[str, LivePartition]:
    """Read the answers to ``PARTITION_COMMAND`` and ``NODE_COMMAND``; lines that are neither are passed over."""
    by_partition: dict[str, list[Node]] = {}
    for line in nodes.splitlines():
        parts = line.split("|")
        if len(parts) > len(_NODE_FIELDS):
            by_partition.setdefault(parts[1].rstrip("*"), []).append(_node(parts))
    found = {}
    for line in partitions.splitlines():
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        if name := fields.get("PartitionName"):
            found[name] = _partition(name, fields, tuple(by_partition.get(name, ())))
    return _only_preemptible_below_others(found)


def _node(parts: list[str]) -> Node:
    name, _, state, cpus, memory, allocated, features, gres, used = parts[: len(_NODE_FIELDS)]
    processors = [_number(part) for part in cpus.split("/")]  # allocated/idle/other/total
    return Node(
        name=name,
        state=state,
        cpus=processors[-1],
        memory_mb=_number(memory),
        free_cpus=processors[1] if len(processors) == 4 else 0,
        free_memory_mb=max(0, _number(memory) - _number(allocated)),
        features=() if features in ("", "(null)") else tuple(features.split(",")),
        gpus=count_gpus(gres),
        free_gpus=free_gpus(gres, used),
    )


def _partition(name: str, fields: Mapping[str, str], nodes: tuple[Node, ...]) -> LivePartition:
    mode = fields.get("PreemptMode", "OFF")
    return LivePartition(
        name=name,
        state=fields.get("State", "UP"),
        default=fields.get("Default") == "YES",
        max_minutes=limit_minutes(fields.get("MaxTime", "")),
        max_cpus_per_node=_limit(fields.get("MaxCPUsPerNode", "")),
        max_memory_mb=_limit(fields.get("MaxMemPerNode", "")),
        priority_tier=_number(fields.get("PriorityTier", "1")),
        preempts_to=None if mode.startswith("OFF") else mode,
        root_only=fields.get("RootOnly") == "YES",
        accounts=Access(allowed=_names(fields, "AllowAccounts"), denied=_names(fields, "DenyAccounts") or frozenset()),
        qos=Access(allowed=_names(fields, "AllowQos"), denied=_names(fields, "DenyQos") or frozenset()),
        groups=Access(allowed=_names(fields, "AllowGroups")),
        nodes=nodes,
    )


def _only_preemptible_below_others(found: Mapping[str, LivePartition]) -> dict[str, LivePartition]:
    """Leave ``preempts_to`` only where a partition of a higher tier shares nodes: no other can preempt there.

    Without preemption every partition shows the cluster's PreemptMode (https://slurm.schedmd.com/preempt.html).
    """
    highest: dict[str, int] = {}
    for partition in found.values():
        for node in partition.nodes:
            highest[node.name] = max(partition.priority_tier, highest.get(node.name, 0))
    safe = {name for name, own in found.items() if all(highest[node.name] <= own.priority_tier for node in own.nodes)}
    return {name: replace(own, preempts_to=None) if name in safe else own for name, own in found.items()}


def limit_minutes(text: str) -> int | None:
    """Return the minutes of a time limit as Slurm prints it (``2-00:00:00``); None for UNLIMITED and the like."""
    try:
        return parse_minutes(text)
    except ValueError:
        return None


def _limit(text: str) -> int | None:
    return int(text) if text.isdigit() and int(text) else None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _names(fields: Mapping[str, str], key: str) -> frozenset[str] | None:
    """Return a list of names, in lower case as the accounting database has them; None for ALL or no list."""
    value = fields.get(key, "")
    return None if value in ("", "ALL", "(null)") else frozenset(value.lower().split(","))
