"""GPUs in words: Slurm's gres text, names of GPU models, MIG slices, and a rough speed of each model. Pure text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

# `gpu:a100:2(S:0-1)`, `gpu:4`, `gpu:(null):0(IDX:N/A)`, `shard:v100:2(IDX:0-1)`; lists in the brackets hold commas.
_GRES = re.compile(r"(?:^|,)(gpu|shard):(?:(\(null\)|[^:,()]+):)?(\d+)(?:\(([^)]*)\))?")
_SLICE = re.compile(r"(?<![0-9])([1-7])g\.\d+gb", re.IGNORECASE)
SLICES_OF_A_GPU = 7

# Training of image models in mixed precision, V100 = 1. Rough on purpose: a profile's gpu_speed comes before this
# table, and what finished stages measured comes before both.
ROUGH_SPEED: Mapping[str, float] = {
    "k80": 0.2, "p100": 0.5, "t4": 0.5, "2080ti": 0.7, "a4000": 0.7, "l4": 0.8, "a10": 0.9, "v100": 1.0, "a5000": 1.0,
    "3090": 1.2, "a30": 1.2, "a40": 1.3, "a6000": 1.4, "l40": 1.8, "4090": 2.0, "l40s": 2.0, "a100": 2.2, "h100": 4.0,
    "h200": 4.3, "gh200": 4.3, "b200": 7.0,
}  # fmt: skip


def count_gpus(gres: str) -> dict[str, int]:
    """Return how many GPUs of each type a node's gres text names; ``""`` is the type of GPUs without one."""
    found: dict[str, int] = {}
    for name, gpu_type, count, _ in _entries(gres):
        if name == "gpu":
            found[gpu_type] = found.get(gpu_type, 0) + count
    return found


def free_gpus(gres: str, used: str) -> dict[str, int]:
    """Return how many GPUs of each type are free, given a node's gres and its used gres (sinfo: Gres, GresUsed).

    A GPU that is shared out in shards is not free, although Slurm does not count it as used.
    """
    free = count_gpus(gres)
    taken = {gpu_type: (count, _indices(detail)) for name, gpu_type, count, detail in _entries(used) if name == "gpu"}
    for gpu_type, (count, _) in taken.items():
        free[gpu_type] = free.get(gpu_type, 0) - count
    for name, gpu_type, shards, detail in _entries(used):
        if name == "shard" and shards:
            own = _type_of_shards(gpu_type, free)
            free[own] = free.get(own, 0) - len(_indices(detail, least=1) - taken.get(own, (0, set()))[1])
    return {gpu_type: max(0, count) for gpu_type, count in free.items()}


def _type_of_shards(gpu_type: str, free: Mapping[str, int]) -> str:
    """Return the GPU type that shards belong to: their own, or that of a node's only GPUs."""
    return next(iter(free)) if gpu_type not in free and len(free) == 1 else gpu_type


def _entries(gres: str) -> list[tuple[str, str, int, str]]:
    """Return (gpu or shard, type, count, text in brackets) of each entry; other resources are passed over."""
    return [
        (name, "" if gpu_type in ("", "(null)") else gpu_type, int(count), detail)
        for name, gpu_type, count, detail in _GRES.findall(gres)
    ]


def _indices(detail: str, *, least: int = 0) -> set[int]:
    """Return the devices of ``IDX:0-1,3``, or of newer Slurm's ``3/4,0/4``; else the first ``least`` ones."""
    if "/" in detail and "N/A" not in detail:
        return {index for index, part in enumerate(detail.split(",")) if not part.startswith("0/")}
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", detail.partition("IDX:")[2]):
        found.update(range(int(first), int(last or first) + 1))
    return found or set(range(least))


def is_slice(gpu_type: str) -> bool:
    """Whether a type is a part of a GPU (MIG): ``a100_3g.20gb``."""
    return _SLICE.search(gpu_type) is not None


def family(name: str) -> str | None:
    """Return the model that a type, a feature or a device's own name mentions, or None for an unknown one.

    ``nvidia_a100-sxm4-80gb``, ``A100`` and ``NVIDIA A100-PCIE-40GB`` are all ``a100``.
    """
    words = [word.removeprefix("rtx").removeprefix("gtx") for word in re.split(r"[^a-z0-9]+", name.lower())]
    joined = [first + second for first, second in pairwise(words)]
    return next((word for word in (*joined, *words) if word in ROUGH_SPEED), None)


def speed_of(gpu_type: str | None, speeds: Mapping[str, float]) -> float | None:
    """Return a type's relative speed, or None when neither ``speeds`` nor the rough table knows it.

    ``speeds`` decides the scale: rough speeds are brought to it. A slice has its share of the whole.
    """
    if gpu_type is None:
        return None
    if gpu_type in speeds:
        return speeds[gpu_type]
    model = family(gpu_type)
    if model is None:
        return None
    whole = speeds[model] if model in speeds else ROUGH_SPEED[model] * _scale(speeds)
    part = _SLICE.search(gpu_type)
    return whole * int(part[1]) / SLICES_OF_A_GPU if part else whole


def _scale(speeds: Mapping[str, float]) -> float:
    """Return what the rough table is to be multiplied by, from the first type that both know."""
    for gpu_type, speed in speeds.items():
        model = family(gpu_type)
        if model is not None and not is_slice(gpu_type):
            return speed / ROUGH_SPEED[model]
    return 1.0
