"""Running out of memory in the words of who can change it: what was being done, and what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kd.errors import MemoryFull

# the message of torch's CPU allocator, in a plain RuntimeError
_CPU_ALLOCATOR = ("DefaultCPUAllocator", "allocate memory")


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Raise MemoryFull, naming ``what`` was being done and the ``remedy``, when the block runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        where = _full(error)
        if where is None:
            raise
        raise MemoryFull(f"{where} memory is full while {what}; {remedy}") from error


def _full(error: Exception) -> str | None:
    """Return whose memory is full, or None when the error is another."""
    if isinstance(error, torch.OutOfMemoryError):
        whole = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        return f"the GPU's ({whole / 2**30:.0f} GiB)"
    if isinstance(error, MemoryError) or all(words in str(error) for words in _CPU_ALLOCATOR):
        return "the machine's"
    return None
