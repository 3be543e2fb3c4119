"""Files of trained weights, by whomever they were written: read without running anything that stands in them.

A training script saves its weights alone or beside its optimizer, its arguments and its averages. Pickles are read by
torch's restricted unpickler, which builds tensors and plain containers. Added are the types that timm's ``train.py``
saves: an ``argparse.Namespace`` and NumPy scalars, none of which can call anything.
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kd.errors import CheckpointError

# Where training scripts put weights inside a file. An average comes first, as in timm's own loader: it is what they
# validated.
PLACES = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model", "net")
REMEDY = "save the weights alone: torch.save(model.state_dict(), FILE)"
MOST_SHOWN = 6  # keys of a file, in an error

# text at the start of a file -> what such a file is
_IMPOSTORS = {
    b"version https://git-lfs": "it is a pointer of Git LFS; fetch the file itself with 'git lfs pull'",
    b"<!doctype html": "it is a web page; download the file itself",
    b"<html": "it is a web page; download the file itself",
}
_GLOBAL = re.compile(r"GLOBAL ([\w.]+) was not")


class ForeignWeights(NamedTuple):
    """Tensors by name, in float32 where they are real numbers; ``place`` is the path of keys that led to them."""

    tensors: dict[str, Tensor]
    place: tuple[str, ...]


def read_foreign_weights(path: Path) -> ForeignWeights:
    """Return the weights that a file holds, plain or under the keys PLACES, on the CPU. Nothing in it is run.

    Raises CheckpointError, with what was found and the remedy, when there is no such file or it holds no plain weights.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    found, place = _read(path), []
    while isinstance(found, Mapping) and (key := next((key for key in PLACES if _holds(found, key)), None)):
        found = found[key]
        place.append(key)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path}: holds no plain weights but one {_type_of(found)}; {REMEDY}")
    others = [str(name) for name, value in found.items() if not isinstance(value, Tensor) or not isinstance(name, str)]
    if others or not found:
        raise CheckpointError(f"{path}: holds no plain weights{_found(found, others)}; {REMEDY}")
    if fault := next((f"{name} {fault}" for name, value in found.items() if (fault := _tensor_fault(value))), None):
        raise CheckpointError(f"{path}: {fault}")
    return ForeignWeights({name: _plain(tensor) for name, tensor in found.items()}, tuple(place))


def _holds(found: Mapping[Any, Any], key: str) -> bool:
    return isinstance(found.get(key), Mapping) and bool(found[key])


def _found(found: Mapping[Any, Any], others: list[str]) -> str:
    if not found:
        return ": it is an empty mapping"
    if len(others) < len(found):
        return f" alone: beside tensors there is {shortened(others)}"
    looked = ", ".join(PLACES)
    return f": its keys are {shortened(others)}, and weights are looked for as a mapping under {looked}"


def shortened(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _tensor_fault(tensor: Tensor) -> str | None:
    """Return why a tensor cannot be a weight: it has no values, values of another kind, or values that are none."""
    if tensor.is_meta:
        return "is on the device 'meta' and has no values"
    if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
        return "is quantised, complex or sparse; save real numbers in a dense tensor"
    return "holds NaN: its training diverged" if tensor.isnan().any() else None


def _plain(tensor: Tensor) -> Tensor:
    """Return a leaf's values without its gradient; half precision becomes the float32 that networks are built in."""
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights: {_reason(path, error)}") from error


def _harmless() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return the types that may stand in a pickle beside tensors, NumPy's under its old module name too."""
    scalar = np.float64(0).__reduce__()[0]
    assert callable(scalar)
    kinds = {type(np.dtype(code)) for code in (*np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "?")}
    return [
        argparse.Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *kinds,
    ]


def _reason(path: Path, error: Exception) -> str:
    """Return why a file could not be read, in words, and what to do."""
    with open(path, "rb") as file:
        start = file.read(64).lower()
    if impostor := next((what for text, what in _IMPOSTORS.items() if start.startswith(text)), None):
        return impostor
    message = str(error)
    if named := _GLOBAL.search(message):
        if named[1].endswith("multiarray._reconstruct"):
            return "it holds NumPy arrays; save tensors: torch.save({name: torch.from_numpy(a) for name, a in …}, FILE)"
        return f"it holds a {named[1]}, and to read that would run code; {REMEDY}"
    if "TorchScript" in message:
        return f"it is a TorchScript program; {REMEDY}"
    return f"it is damaged, or no file of torch or safetensors ({type(error).__name__})"


def _type_of(value: Any) -> str:
    return type(value).__name__
