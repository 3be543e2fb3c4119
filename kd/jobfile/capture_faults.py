"""What a training with ``compile: graph`` cannot have: its step is recorded once, and replayed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kd.jobfile.source import Address
from kd.jobfile.stage import Fault

# they begin a random generator at every batch, which a recorded step could not begin anew
WITH_OWN_DRAWS = ("crd", "mgd")


def capture_faults(*, gpus: int | None, precision: str, losses: Collection[str], address: Address) -> Iterator[Fault]:
    """Yield what keeps a step from being recorded."""
    if gpus and gpus > 1:
        yield address, f"a graph is of one GPU, and this stage asks for {gpus}; use 'compile: true'"
    if precision == "float16":
        yield address, "float16 needs a loss scale, which a graph cannot hold; use bfloat16, or 'compile: true'"
    for name in losses:
        if name in WITH_OWN_DRAWS:
            yield address, f"loss '{name}' draws random numbers that a graph cannot; use 'compile: true'"
