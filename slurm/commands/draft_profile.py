"""A cluster profile drafted from Slurm's answers: YAML with a comment wherever a person must look again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kd.jobfile.quantities import format_minutes
from kd.jobfile.schema import NAME_PATTERN
from slurm.cluster.capabilities import Capabilities
from slurm.cluster.gpus import family, is_slice, speed_of
from slurm.cluster.partitions_and_nodes import LivePartition
from slurm.submission.site_limits import largest_array


def draft(partitions: Mapping[str, LivePartition], capabilities: Capabilities, host: str) -> str:
    """Return the text of a profile that loads as it is: the fastest partition first, slices of GPUs left out."""
    up = [found for found in partitions.values() if found.state == "UP" and not found.root_only]
    usable = [found for found in up if not _closed_to(found, capabilities)]
    with_gpus = sorted((found for found in usable if _most(found, "gpus")), key=_order, reverse=True)
    without = [found for found in usable if not _most(found, "gpus")]
    gpu_type_as = _gpu_type_as(with_gpus)
    types = list(dict.fromkeys(name for found in with_gpus for name in _types(found, gpu_type_as)))
    lines = [
        f"# Drafted from Slurm {capabilities.version}. Read every line, and what your site's documentation says.",
        f"about: {_quoted(f'the cluster {capabilities.cluster}')}",
        f"hosts: [{_pattern(host)}]  # login nodes whose name fits find this profile",
        "partitions:  # best first; delete those you should not use" if with_gpus else "partitions: []",
        *(f"  - {_partition(found, gpu_type_as)}" for found in with_gpus),
        *([f"cpu_partition: {_quoted(without[0].name)}  # for jobs without a GPU"] if without else []),
        "gpu_flag: gres  # --gres=gpu:1 | gpus-per-node | gpus",
        f"gpu_type_as: {gpu_type_as}  # gres: gpu:a100:1 | constraint: -C a100 | partition: one type in each",
        *_speeds(types),
        f"accounting: {_yes(capabilities.accounting)}",
        *_accounts(capabilities),
        *(
            []
            if (largest := largest_array(capabilities)) is None
            else [f"max_array: {largest}  # MaxArraySize minus 1"]
        ),
        "modules: []  # what `module load` needs, in order",
        "# venv: $HOME/.venvs/kd  # made by cluster_env/setup.sh",
        'scratch: ["$SLURM_TMPDIR", "$TMPDIR"]  # node-local folders, best first; see docs/clusters.md',
    ]
    closed = [f"# {found.name} is not open to {who}" for found in up if (who := _closed_to(found, capabilities))]
    return "\n".join([*lines, *closed, *_remarks(capabilities)]) + "\n"


def _closed_to(found: LivePartition, capabilities: Capabilities) -> str | None:
    """Return the default account or QOS that a partition does not take, with what would do; None where it is open."""
    account, qos = capabilities.default_account, capabilities.default_qos
    if account and not found.accounts.admits(account.lower()):
        others = [other for other in capabilities.accounts if found.accounts.admits(other.lower())]
        return f"account {account}" + (f": list it with 'account: {others[0]}'" if others else "")
    return f"qos {qos}" if qos and not found.qos.admits(qos.lower()) else None


def _partition(found: LivePartition, gpu_type_as: str) -> str:
    types = _types(found, gpu_type_as)
    parts = [f"name: {_quoted(found.name)}"]
    if len(types) == 1:
        parts.append(f"gpu_type: {_quoted(types[0])}")
    if found.max_minutes is not None:
        parts.append(f"max_time: {format_minutes(found.max_minutes)}")
    parts.append(f"gpus_per_node: {_most(found, 'gpus')}")
    parts.append(f"cpus_per_node: {_most(found, 'cpus')}")
    parts.append(f"memory_per_node: {_most(found, 'memory_mb')}M")
    remarks = [f"has {', '.join(types)}"] if len(types) > 1 else []
    if found.preempts_to is not None:
        remarks.append(f"jobs may be preempted ({found.preempts_to})")
    return f"{{{', '.join(parts)}}}" + (f"  # {'; '.join(remarks)}" if remarks else "")


def _most(found: LivePartition, what: str) -> int:
    """Return the most GPUs, CPUs or memory of any one node with GPUs (or of any node, where none has)."""
    values = {
        "gpus": [_whole_gpus(node.gpus) for node in found.nodes],
        "cpus": [node.cpus for node in found.nodes],
        "memory_mb": [node.memory_mb for node in found.nodes],
    }
    return max(values[what], default=0)


def _whole_gpus(gpus: Mapping[str, int]) -> int:
    return sum(count for name, count in gpus.items() if not is_slice(name))


def _gpu_type_as(partitions: Sequence[LivePartition]) -> str:
    """Return how jobs can ask for a type here: by gres where GPUs have types, else by a feature, else by partition."""
    nodes = [node for found in partitions for node in found.nodes]
    if any(name for node in nodes for name in node.gpus):
        return "gres"
    return "constraint" if any(family(feature) for node in nodes for feature in node.features) else "partition"


def _types(found: LivePartition, gpu_type_as: str) -> list[str]:
    if gpu_type_as == "gres":
        names = [name for node in found.nodes for name in node.gpus if name and not is_slice(name)]
    else:
        names = [feature for node in found.nodes for feature in node.features if family(feature) and node.gpus]
    return [name for name in dict.fromkeys(names) if re.match(NAME_PATTERN, name)]


def _order(found: LivePartition) -> tuple[bool, float, bool]:
    """Sort key, best last: what is not preempted, then the fastest GPU, then the default partition."""
    speeds = [speed_of(name, {}) or 0.0 for name in (*_types(found, "gres"), *_types(found, "constraint"))]
    return found.preempts_to is None, max(speeds, default=0.0), found.default


def _speeds(types: Sequence[str]) -> list[str]:
    known = {name: speed for name in types if (speed := speed_of(name, {})) is not None}
    unknown = [name for name in types if name not in known]
    lines = []
    if known:
        table = ", ".join(f"{_quoted(name)}: {speed:g}" for name, speed in known.items())
        lines.append(f"gpu_speed: {{{table}}}  # rough, V100 = 1; finished stages correct it")
    if unknown:
        lines.append(f"# gpu_speed: please add {', '.join(unknown)}")
    return lines


def _accounts(capabilities: Capabilities) -> list[str]:
    """Return the account, as a comment where the user's default does."""
    if len(capabilities.accounts) > 1:
        return [f"# account: one of {', '.join(capabilities.accounts)}; default: {capabilities.default_account}"]
    return []


def _remarks(capabilities: Capabilities) -> list[str]:
    found = [f"# {name} did not answer: its limits are not known here" for name in capabilities.unreadable]
    if capabilities.max_minutes is not None:
        limit = format_minutes(capabilities.max_minutes)
        found.append(f"# {capabilities.max_minutes_of} allows {limit} a job")
    if capabilities.max_submit is not None:
        found.append(f"# {capabilities.max_submit_of} allows {capabilities.max_submit} jobs in the queue")
    return found


def _pattern(host: str) -> str:
    """Return a shell pattern for this login node and its numbered sisters: ``login2.lab`` gives ``login*.lab``.

    Nothing for a host that does not know its own name.
    """
    name, dot, domain = host.partition(".")
    stem = re.sub(r"\d+$", "", name)
    return _quoted(f"{stem}*{dot}{domain}") if stem and name != "localhost" else ""


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _quoted(text: str) -> str:
    """Return text as a double-quoted YAML scalar: names such as ``2080`` or ``no`` must stay text."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
