"""The one way to import torchvision and timm, late: they cost a second, and torchvision may need help to import.

torchvision's wheel is built for CUDA. Beside a CPU-only torch its compiled operators cannot load, and the import fails
because it describes two of them without looking (``operator torchvision::nms does not exist``). Declared here, without
a body, they satisfy the import; nothing in kd calls them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

_UNDESCRIBED = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_vision(module: str) -> Any:
    """Import and return a module of torchvision or timm."""
    _declare_missing_operators()
    return import_module(module)


@cache
def _declare_missing_operators() -> torch.library.Library | None:
    """Return the library that declares them (they live as long as it does), or None where they are compiled in."""
    _load_compiled_operators()
    if hasattr(torch.ops.torchvision, _UNDESCRIBED[0]):
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in _UNDESCRIBED:
        library.define(f"{name}{_SIGNATURE}")  # type: ignore[no-untyped-call]
    return library


def _load_compiled_operators() -> None:
    """Load torchvision's own operators if this torch can: once declared, they could no longer be loaded."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    for library in Path(spec.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:  # built for another torch
            continue
