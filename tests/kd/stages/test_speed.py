"""Speeds as results record them, against a loop timed by hand."""

from __future__ import annotations

import time
from statistics import median

import pytest
import torch
from torch import nn

from kd.stages.speed import speed, speed_in_pytorch


class Slow(nn.Module):
    """Takes 2 ms for each image, so that timing it has a known answer."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(0.002 * len(images))
        return images


def test_latency_and_throughput_are_those_of_a_loop_timed_by_hand() -> None:
    images = torch.zeros(8, 1, 2, 2)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        Slow()(images[:1])
        seconds.append(time.perf_counter() - started)
    found = speed(Slow(), images, "sleep")
    assert found.runtime == "sleep"
    assert found.latency is not None
    assert found.latency.median == pytest.approx(median(seconds), rel=0.5)
    assert found.latency.p95 is not None
    assert found.latency.p95 >= found.latency.median >= 0.002
    assert found.images_per_second == pytest.approx(500, rel=0.3)
    assert found.batch == 8


def test_the_runtime_is_named_with_its_threads() -> None:
    found = speed_in_pytorch(nn.Flatten(), torch.zeros(4, 1, 2, 2))
    assert found.runtime is not None
    assert found.runtime.startswith("PyTorch float32, cpu: ")
    assert found.runtime.split(", ")[-1].split()[0] == str(torch.get_num_threads())
