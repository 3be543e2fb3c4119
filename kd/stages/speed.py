"""How fast a network answers, as results record it: with the runtime named, since two runtimes do not compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from kd.compress.cost import Run, count_flops, measure_latency, measure_throughput
from kd.data.store import DeviceStore
from kd.distill.teacher import load_trained_model
from kd.rundir.result_sections import Cost, DeviceCost, Latency
from kd.stages.stage_data import StageData
from kd.train.device import Runtime, cpu_in_words
from kd.train.weights import ModelCard

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


def cost_of(weights: Path, card: ModelCard, data: StageData, runtime: Runtime) -> Cost:
    """Return the operations of one image and the speed of the network in a file of weights.

    On the CPU in float32, and on a GPU in the precision of the stage.
    """
    images = timed_images(data.validation)
    model, _ = load_trained_model(weights, student=card)
    flops, on_cpu = count_flops(model, images[0]), speed_in_pytorch(model, images)
    if runtime.device.type != "cuda":
        return Cost(flops=flops, cpu=on_cpu)
    with runtime.autocast():
        name = f"PyTorch {runtime.precision}, {runtime.description}"
        on_gpu = speed(runtime.place(model), images.to(runtime.device), name)
    return Cost(flops=flops, cpu=on_cpu, gpu=on_gpu)
