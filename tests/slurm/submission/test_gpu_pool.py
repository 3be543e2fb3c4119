"""Which GPUs local jobs may have."""

from __future__ import annotations

import pytest

from slurm.submission.gpu_pool import visible_gpus

FOUR = "".join(f"GPU {i}: NVIDIA A100-SXM4-40GB (UUID: GPU-{i}aa)\n" for i in range(4))
MIG = (
    "GPU 0: NVIDIA A100 (UUID: GPU-0aa)\n  MIG 3g.20gb     Device  0: (UUID: MIG-11)\n"
    "  MIG 3g.20gb     Device  1: (UUID: MIG-22)\nGPU 1: NVIDIA A100 (UUID: GPU-1aa)\n"
)


@pytest.mark.parametrize(
    ("outer", "pool"),
    [
        (None, ("0", "1", "2", "3")),
        ("3", ("3",)),
        ("2, 0", ("2", "0")),
        ("GPU-3aa,GPU-1", ("GPU-3aa", "GPU-1")),
        ("1,-1,2", ("1",)),
        ("1,7,2", ("1",)),
        ("1,1", ("1",)),
        ("", ()),
        ("NoDevFiles", ()),
        ("MIG-11", ()),
    ],
)
def test_the_outer_list_is_the_pool(outer: str | None, pool: tuple[str, ...]) -> None:
    assert visible_gpus({} if outer is None else {"CUDA_VISIBLE_DEVICES": outer}, FOUR) == pool


def test_a_divided_gpu_is_given_in_its_parts() -> None:
    assert visible_gpus({}, MIG) == ("MIG-11", "MIG-22", "1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "MIG-22"}, MIG) == ("MIG-22",)


def test_without_nvidia_smi_the_outer_list_is_believed() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-x,2"}, "") == ("GPU-x", "2")
    assert visible_gpus({}, "") == ()
