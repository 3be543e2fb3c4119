"""How fast a network answers, as results record it: with the runtime named, since two runtimes do not compare."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn

from kd.compress.cost import Run, measure_latency, measure_throughput
from kd.data.store import DeviceStore
from kd.rundir.result_sections import DeviceCost, Latency
from kd.train.device import cpu_in_words

BATCH = 32  # images; more would take a ResNet-152 minutes on a processor
ROUNDS = 100  # of one image, two seconds at most


def timed_images(store: DeviceStore) -> Tensor:
    """Return the images [B, C, H, W] that models are timed on, on the CPU."""
    return store.batch(torch.arange(min(BATCH, len(store)), device=store.labels.device)).cpu()


def speed(run: Run, images_BCHW: Tensor, runtime: str) -> DeviceCost:
    """Return the latency of one image and the throughput of a batch, in the runtime of this name."""
    return DeviceCost(
        runtime=runtime,
        latency=Latency(**asdict(measure_latency(run, images_BCHW[0], rounds=ROUNDS))),
        images_per_second=measure_throughput(run, images_BCHW, rounds=5, warm_up=1),
        batch=len(images_BCHW),
    )


def speed_in_pytorch(model: nn.Module, images_BCHW: Tensor) -> DeviceCost:
    """Return the speed of a network in float32 on the CPU: the runtime in which every model of a run is timed."""
    return speed(model.cpu().eval(), images_BCHW.cpu(), f"PyTorch float32, {cpu_in_words()}")
