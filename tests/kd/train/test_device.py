"""Threads, precision and memory order of a process."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from kd.train.device import prepare_runtime, thread_count, usable_cores

pytestmark = pytest.mark.cpu  # what is chosen without a GPU


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"SLURM_CPUS_PER_TASK": "4", "OMP_NUM_THREADS": "1"}, 4),
        ({"KD_THREADS": "2", "SLURM_CPUS_PER_TASK": "4"}, 2),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8),  # never more than the cores it may use
        ({"KD_THREADS": "many", "SLURM_CPUS_PER_TASK": "0"}, 8),
    ],
)
def test_the_thread_count_is_what_the_job_was_given(environment: dict[str, str], threads: int) -> None:
    assert thread_count(environment, cores=8) == threads


def test_a_process_sees_the_cores_it_is_bound_to() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_the_runtime_sets_threads_and_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_THREADS", "1")
    runtime = prepare_runtime(precision="float32")
    assert runtime.precision == "float32"
    if runtime.device.type == "cpu":
        assert torch.get_num_threads() == 1
        assert runtime.description.endswith("1 thread")


def test_bfloat16_multiplies_in_bfloat16_and_keeps_float32_weights() -> None:
    runtime = prepare_runtime(precision="bfloat16")
    model = runtime.place(nn.Conv2d(3, 4, 3))
    with runtime.autocast():
        out = model(torch.randn(2, 3, 8, 8, device=runtime.device))
    assert out.dtype == torch.bfloat16
    assert model.weight.dtype == torch.float32
    assert model.weight.is_contiguous(memory_format=torch.channels_last)


def test_deterministic_mode_is_switched_on_and_off() -> None:
    try:
        prepare_runtime(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        prepare_runtime(deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
