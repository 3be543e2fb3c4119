"""A: the machine. B: a store of images gives the same bits on both devices."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_check.record import GPU, Found, Record
from benchmarks.timing import machine
from kd.data.store import DeviceStore
from kd.train.device import prepare_runtime

STORES: dict[str, tuple[int, dict[str, Any]]] = {
    "padded": (32, {}),
    "cutout": (32, {"cutout": 16}),
    "batch by batch": (32, {"prepared_bytes": 0}),
    "on the host": (32, {"resident": False}),
    "224 pixels": (224, {"prepared_bytes": 0}),
}


def check_machine(record: Record) -> None:
    """A: name card, memory and versions."""
    record.check("A the machine", _the_machine)


def check_stores(record: Record) -> None:
    """B: compare batches of every kind of store with the CPU's."""
    record.check("B stores have the CPU's bits", _stores)


def _the_machine() -> Found:
    runtime = prepare_runtime()
    found = {"torch": torch.__version__, "machine": machine(), "runtime": runtime.description}
    if GPU:
        facts = torch.cuda.get_device_properties(0)
        found |= {"gpus": torch.cuda.device_count(), "memory_gib": round(facts.total_memory / 2**30, 1)}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found | {"precision": runtime.precision}


def _stores() -> None:
    device = torch.device("cuda" if GPU else "cpu")
    differ = [name for name, (size, options) in STORES.items() if not _same_batches(size, device, **options)]
    assert not differ, f"these differ from the CPU's: {differ}"


def _same_batches(size: int, device: torch.device, **options: Any) -> bool:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, size, size), dtype=torch.uint8, generator=draw)
    order = torch.randperm(64, generator=draw)
    made = []
    for home in (torch.device("cpu"), device):
        store = DeviceStore(
            images,
            torch.zeros(64, dtype=torch.int64),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            device=home,
            padding=4,
            flip=True,
            **options,
        )
        made.append(store.batch(order, store.views(seed=1, view=2)).cpu())
    return torch.equal(*made)
