"""Reading pickles of strangers: plain values and byte arrays only, and nothing that a pickle can call.

The official CIFAR files are Python 2 pickles. Unpickling runs what the file says; here every name it may say
leads to a harmless stand-in, so numpy itself never sees the file's values
(https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kd.errors import DataError

# What the unpickler raises on bytes that are no pickle, or that call a stand-in wrongly.
_CRASHES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


class PickledArray:
    """Stand-in for a pickled numpy array; keeps the state that the pickle gives it."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def bytes_array(self) -> NDArray[np.uint8]:
        """Return the array. Raises ValueError unless it is one of unsigned bytes in C order."""
        _version, shape, dtype, fortran_order, data = self.state
        if not isinstance(dtype, _PickledType) or dtype.code not in ("u1", b"u1", "|u1", b"|u1"):
            raise ValueError("not an array of unsigned bytes")
        if fortran_order or not isinstance(data, bytes) or math.prod(shape) != len(data):
            raise ValueError("not an array in C order of the size it claims")
        return np.frombuffer(data, dtype=np.uint8).reshape(shape).copy()


class _PickledType:
    """Stand-in for a pickled numpy dtype; keeps its code."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment: bytes have none."""


def _latin1(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, by which Python 3 writes bytes in old pickle protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the codec {encoding!r} is not allowed")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _PickledType,
    ("_codecs", "encode"): _latin1,
}


class _PlainUnpickler(pickle.Unpickler):
    """Knows no names but those above."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name; refuse all others."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"'{module}.{name}' is not allowed")
        return _ALLOWED[module, name]


def load_plain(data: bytes, name: str) -> Any:
    """Return what a pickle holds: None, numbers, text, bytes, lists, tuples, dicts and PickledArray.

    Text of Python 2 comes as bytes. Raises DataError, beginning with ``name``, when the pickle is damaged or
    wants more.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except _CRASHES as error:
        raise DataError(f"{name}: damaged, or no plain pickle ({type(error).__name__}: {error})") from error
