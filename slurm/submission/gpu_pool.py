"""The GPUs of this machine that local jobs may have: those that CUDA_VISIBLE_DEVICES leaves us, else all.

On a shared machine, or in an interactive job without cgroups, that variable says which GPUs are ours.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping


def gpu_pool() -> tuple[str, ...]:
    """Return the names by which jobs are given GPUs: indices, or UUIDs of GPUs or of parts of them (MIG)."""
    return visible_gpus(os.environ, _listed())


def visible_gpus(environment: Mapping[str, str], listed: str) -> tuple[str, ...]:
    """Return the pool, given the environment and what ``nvidia-smi -L`` lists.

    The list in CUDA_VISIBLE_DEVICES ends at its first entry that names no device, as CUDA reads it
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide, environment variables). Without nvidia-smi it is believed.
    """
    outer = environment.get("CUDA_VISIBLE_DEVICES")
    if outer is None:
        return _all(listed)
    uuids = re.findall(r"\(UUID: ([^)\s]+)\)", listed)
    indices = re.findall(r"^GPU (\d+):", listed, flags=re.MULTILINE)
    ours: list[str] = []
    for entry in (part.strip() for part in outer.split(",")):
        known = entry in indices or any(uuid.startswith(entry) for uuid in uuids)
        if not _names_a_device(entry) or (listed and not known):
            break
        ours.append(entry)
    return tuple(dict.fromkeys(ours))


def _names_a_device(entry: str) -> bool:
    return entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))


def _all(listed: str) -> tuple[str, ...]:
    """Return every GPU by its index, or where one is divided its parts by their UUIDs: it cannot be used whole."""
    found: list[str] = []
    for gpu in re.split(r"^(?=GPU )", listed, flags=re.MULTILINE):
        if index := re.match(r"GPU (\d+):", gpu):
            found += re.findall(r"^\s+MIG .*\(UUID: ([^)\s]+)\)", gpu, flags=re.MULTILINE) or [index[1]]
    return tuple(found)


def _listed() -> str:
    """Return what nvidia-smi lists, without loading torch; nothing where there is none."""
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
