"""Feature maps [B, channels, H, W]: which of the student's goes with which of the teacher's, and at what size.

Sizes change by products with small matrices: unlike torch's own pooling to any size, they are deterministic on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.errors import SpecError
from kd.losses.numerics import full, target

Pair: TypeAlias = tuple[Tensor, Tensor]  # the student's, the teacher's


def paired(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], stages: Sequence[int] | None) -> list[Pair]:
    """Return the maps that belong together: those of ``stages`` (from 1) of both networks.

    Without ``stages``: stage by stage where both have equally many, else the last of each. Raises SpecError when a
    network lacks a stage.
    """
    if not stages:
        if len(student_maps) == len(teacher_maps):
            return list(zip(student_maps, teacher_maps, strict=True))
        return [(student_maps[-1], teacher_maps[-1])]
    for who, maps in (("student", student_maps), ("teacher", teacher_maps)):
        if lacking := [stage for stage in stages if stage > len(maps)]:
            raise SpecError([f"stages: the {who} has no stage {lacking[0]}; its feature maps end at {len(maps)}"])
    return [(student_maps[stage - 1], teacher_maps[stage - 1]) for stage in stages]


def middle(pairs: list[Pair]) -> list[Pair]:
    """Return the pair in the middle, the earlier one of two, as a list."""
    return [pairs[(len(pairs) - 1) // 2]]


def same_size(pair: Pair) -> Pair:
    """Return a pair in full precision, the teacher's cut off, the larger one averaged down to the smaller one."""
    student, teacher = full(pair[0]), target(pair[1])
    height, width = (min(sides) for sides in zip(student.shape[-2:], teacher.shape[-2:], strict=True))
    return pool(student, height, width), pool(teacher, height, width)


def pool(maps: Tensor, height: int, width: int) -> Tensor:
    """Return maps averaged over ``height`` x ``width`` regions, the regions of torch's adaptive average pooling."""
    if maps.shape[-2:] == (height, width):
        return maps
    rows, columns = (
        _averaging(size, regions, maps.dtype, maps.device)
        for size, regions in zip(maps.shape[-2:], (height, width), strict=True)
    )
    return rows @ maps @ columns.T


def enlarge(maps: Tensor, height: int, width: int) -> Tensor:
    """Return maps resized to the nearest pixel."""
    return maps if maps.shape[-2:] == (height, width) else F.interpolate(maps, size=(height, width), mode="nearest")


@lru_cache(maxsize=64)  # a training has few sizes, and needs their matrices at every step
@torch.inference_mode(False)  # what is kept may be needed for a gradient later
def _averaging(size: int, regions: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix [regions, size] whose rows average one region each."""
    pixels = torch.arange(size)
    edges = torch.arange(regions + 1) * size
    starts, ends = edges[:-1] // regions, -(-edges[1:] // regions)
    inside = ((pixels >= starts[:, None]) & (pixels < ends[:, None])).to(dtype)
    return (inside / inside.sum(1, keepdim=True)).to(device)
