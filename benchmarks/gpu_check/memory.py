"""G: what a person reads when the memory of the GPU is full."""

from __future__ import annotations

import torch

from benchmarks.gpu_check.record import GPU, Found, Record
from benchmarks.whole_step import WholeStep
from kd.errors import MemoryFull
from kd.train.device import prepare_runtime
from kd.train.memory import memory_for


def check_memory(record: Record) -> None:
    """G: a batch that cannot fit, plain and captured."""
    for captured in (False, True):
        name = f"G out of memory{', captured' if captured else ''}"
        record.check(name, lambda captured=captured: _too_large(captured))


def _too_large(captured: bool) -> Found:
    if not GPU:
        return {"left out": "there is no GPU"}
    try:
        with memory_for("training with batch_size 16384", "lower batch_size"):
            steps = WholeStep(
                {"ce": 1.0}, prepare_runtime(), student="wrn28_10", batch=16384, count=16384, captured=captured
            )
            steps.step()
    except MemoryFull as error:
        torch.cuda.empty_cache()
        return {"says": str(error)}
    raise AssertionError("it fitted")
