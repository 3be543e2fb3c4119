"""An operation that has no deterministic form, in the words of who asked for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kd.errors import SpecError

_SAYS = " does not have a deterministic implementation"  # torch, of use_deterministic_algorithms


@contextmanager
def deterministic_operations() -> Iterator[None]:
    """Raise SpecError, naming the operation, where the block needs one that ``deterministic`` forbids."""
    try:
        yield
    except RuntimeError as error:
        operation, says, _ = str(error).partition(_SAYS)
        if not says:
            raise
        where = "has no deterministic form on this device"
        raise SpecError([f"deterministic: {operation} {where}; use another model or loss, or 'false'"]) from error
