"""The seed of a stage, and torch's generators set from it for each purpose."""

from __future__ import annotations

import torch

from kd.data.hashing import stream_key
from kd.rundir.stage_spec import AnySpec


def seed_of(spec: AnySpec) -> int:
    """Return the seed of a training or a search; every one has a seed."""
    assert spec.seed is not None, f"{spec.key}: no seed"
    return spec.seed


def seed_generators(purpose: str, seed: int) -> None:
    """Seed torch's generators on all devices for a purpose; another purpose gets an unrelated stream."""
    torch.manual_seed(stream_key(purpose, seed))
