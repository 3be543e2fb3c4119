"""A model of the user's own, imported in the job: built with what it takes of what the data set tells."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any

from torch import nn

from kd.errors import SpecError, shown
from kd.user_code import SUPPLIED, module_file, read_model


def user_model(
    num_classes: int, in_channels: int, image_size: int, *, module: str, attribute: str, **arguments: Any
) -> nn.Module:
    """Import ``module`` and call its ``attribute`` with the arguments and what it takes of the first three.

    Raises SpecError, with the line of the user's file, when it cannot be imported or called, or gives no module.
    """
    name = f"{module}:{attribute}"
    given = dict(zip(SUPPLIED, (num_classes, in_channels, image_size), strict=True))
    supplied = {key: given[key] for key in read_model(module, attribute).signature.supplied}
    try:
        made = getattr(import_module(module), attribute)(**supplied, **arguments)
    except Exception as error:  # whatever the user's code raises is the user's
        message = " ".join(str(error).split())
        raise SpecError([f"{_place(error, module)}: {name}: {type(error).__name__}: {message:.200}"]) from error
    if not isinstance(made, nn.Module):
        raise SpecError([f"{module_file(module)}: {name} gives {shown(made)}, which is no torch.nn.Module"])
    return made


def _place(error: Exception, module: str) -> str:
    """Return file and line of the user's code where an error arose, or the module's file."""
    file = str(getattr(sys.modules.get(module), "__file__", None) or module_file(module))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file
