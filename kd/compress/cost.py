"""What a network costs: parameters, floating-point operations, bytes on disk, latency and throughput.

One multiplication with its addition counts as two operations, as ``torch.utils.flop_counter`` has it. Times are wall
time in seconds, after a warm-up, and are worth little without the number of threads beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

ENOUGH_SECONDS = 2.0  # of timing; a ResNet-152 would take most of a minute on a processor

Run = Callable[[Tensor], object]  # images [B, C, H, W] -> anything


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long one image takes, in seconds, over ``rounds`` runs by ``threads`` threads."""

    median: float
    p95: float
    threads: int
    rounds: int


def count_parameters(model: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of parameters: all, or only the ``trainable`` ones, which are not frozen."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad or not trainable)


def count_flops(model: nn.Module, image_CHW: Tensor) -> int:
    """Return the operations of one forward pass over one image. The model's mode and buffers stay as they are."""
    training = model.training
    model.eval()
    try:
        # not inference_mode: the counter does not see a linear layer there
        with torch.no_grad(), _plain_attention(), FlopCounterMode(display=False) as counter:
            model(image_CHW[None])
    finally:
        model.train(training)
    return int(counter.get_total_flops())


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention run as matrix products; the counter does not see into all of its fused forms."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def file_bytes(path: Path) -> int:
    """Return the size of a file."""
    return path.stat().st_size


def measure_latency(run: Run, image_CHW: Tensor, *, rounds: int = 200, warm_up: int = 20) -> Latency:
    """Time a model on one image at a time, ``rounds`` times after ``warm_up`` runs that are not counted.

    A slow model is run less often: no more once it has taken two seconds, but 20 times at least.
    """
    assert rounds >= 2
    seconds = _timed(run, image_CHW[None], rounds=rounds, least=20, warm_up=warm_up)
    p95 = quantiles(seconds, n=20, method="inclusive")[-1]
    return Latency(median=median(seconds), p95=p95, threads=torch.get_num_threads(), rounds=len(seconds))


def measure_throughput(run: Run, images_BCHW: Tensor, *, rounds: int = 10, warm_up: int = 2) -> float:
    """Return images per second at the given batch: the median over ``rounds`` batches, three at least if it is slow."""
    return len(images_BCHW) / median(_timed(run, images_BCHW, rounds=rounds, least=3, warm_up=warm_up))


@torch.inference_mode()
def _timed(run: Run, images_BCHW: Tensor, *, rounds: int, least: int, warm_up: int) -> list[float]:
    """Return the seconds of each of ``rounds`` runs, or of ``least`` or more that took ENOUGH_SECONDS together."""
    for _ in range(warm_up):
        _seconds(run, images_BCHW)
    seconds: list[float] = []
    while len(seconds) < rounds and (len(seconds) < least or sum(seconds) < ENOUGH_SECONDS):
        seconds.append(_seconds(run, images_BCHW))
    return seconds


def _seconds(run: Run, images_BCHW: Tensor) -> float:
    """Time one forward pass; on a GPU, until its queue is empty."""
    started = time.perf_counter()
    run(images_BCHW)
    if images_BCHW.is_cuda:
        torch.cuda.synchronize(images_BCHW.device)
    return time.perf_counter() - started
