"""Several processes that train one model together, each on its share of every batch; or one alone.

The losses see the whole batch in every process (logits, features and labels are gathered), gradients are averaged and
batch statistics are shared, so N processes compute what one would, up to rounding. Processes are of one machine: those
of ``kd.stages.training.process_team``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from kd.errors import SpecError

HOST = "127.0.0.1"
PATIENCE = timedelta(minutes=15)  # for a process that loads data or writes a checkpoint on slow storage


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """This process among ``count``, number ``rank`` (from 0). Alone, nothing here does anything."""

    rank: int = 0
    count: int = 1

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def share(self, values_B: Tensor) -> Tensor:
        """Return this process's part of a batch [B]: the ``rank``-th of ``count`` equal runs."""
        size = len(values_B) // self.count
        return values_B[self.rank * size : (self.rank + 1) * size]

    def require_even(self, batch_size: int) -> None:
        """Raise SpecError when a batch cannot be shared equally."""
        if batch_size % self.count:
            raise SpecError([f"a batch of {batch_size} images cannot be shared equally by {self.count} processes"])

    def gather(self, values: Any) -> Any:
        """Return the whole batch of what each process has a share of: tensors [B, ...]; the rest stays as it is."""
        if not self.several:
            return values
        if isinstance(values, Mapping):
            return {name: self.gather(value) for name, value in values.items()}
        if isinstance(values, list | tuple):
            return [self.gather(value) for value in values]
        if not isinstance(values, Tensor):
            return values
        whole: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call]
        return whole

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes, in one exchange."""
        if not self.several:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        means = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def add_up(self, values: Tensor) -> None:
        """Replace a tensor by its sum over the processes, in place."""
        if self.several:
            dist.all_reduce(values)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process; all of them get the same answer. Waits for no GPU."""
        if not self.several:
            return flag
        said = torch.tensor(int(flag))
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return bool(said)

    def require_equal(self, *numbers: int) -> None:
        """Wait for all processes and check that they stand at the same numbers."""
        if not self.several:
            return
        ours = torch.tensor(numbers)
        theirs = [torch.empty_like(ours) for _ in range(self.count)]
        dist.all_gather(theirs, ours)
        assert all(torch.equal(ours, other) for other in theirs), f"the processes stand at {theirs}"


ALONE = Processes()


class _Gather(torch.autograd.Function):
    """Concatenate the processes' tensors along their first dimension.

    Every process computes the same loss from the result, so each one's own rows of the gradient are all that it needs;
    times the number of processes, because gradients of weights are averaged afterwards.
    """

    @staticmethod
    def forward(context: Any, local: Tensor, processes: Processes) -> Tensor:
        context.processes = processes
        parts = [torch.empty_like(local, memory_format=torch.contiguous_format) for _ in range(processes.count)]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        processes: Processes = context.processes
        return processes.share(gradients[0]) * processes.count, None


def open_store() -> TCPStore:
    """Return the first process's meeting point, on a port that the system chose."""
    return TCPStore(HOST, 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)


def find_store(port: int) -> TCPStore:
    """Return the meeting point that the first process opened."""
    return TCPStore(HOST, port, is_master=False, timeout=PATIENCE)


@contextmanager
def joined(store: Store, *, rank: int, count: int) -> Iterator[Processes]:
    """Be one of ``count`` processes for the time of the block; number r computes on GPU r, where there are GPUs."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a node's name need not resolve; we stay on one node
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(rank)
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield Processes(rank=rank, count=count)
    except RuntimeError:  # another process is lost
        if gpu and dist.group.WORLD is not None:
            dist.group.WORLD.abort()  # else the end would wait for what the lost one will never send
        raise
    finally:
        dist.destroy_process_group()
