"""``--data``: a data set in the words of a job file, on a command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kd.errors import SpecError
from kd.jobfile.faults import data_faults
from kd.jobfile.schema import Data
from kd.jobfile.source import Document, parse_value
from kd.jobfile.validation_messages import fault_of


def read_data_option(text: str) -> Data:
    """Return the data that ``{name: cifar10, root: …, validation: 5000}``, or a bare name, describes.

    ``validation`` may be left out: it then cuts a tenth. Raises SpecError with one line per fault.
    """
    try:
        value: Any = parse_value(text)
    except ValueError as error:
        raise SpecError([f"--data {text}: {error}"]) from None
    keys = {"name": value} if isinstance(value, str) else value
    if not isinstance(keys, dict):
        raise SpecError(
            [f"--data {text}: expected a data set as in a job file, {{name: cifar10, root: /data/cifar10}}"]
        )
    document = Document(name=f"--data {text}", data=keys)
    try:
        data = Data.model_validate({"validation": 0.1, **keys})
    except ValidationError as error:
        found = [fault_of(each, each["loc"], list(Data.model_fields)) for each in error.errors(include_url=False)]
        raise SpecError([document.line(address, message) for address, message in found]) from None
    if faults := list(data_faults(data, ())):
        raise SpecError([document.line(address, message) for address, message in faults])
    root = str(Path(os.path.expandvars(os.path.expanduser(data.root))).absolute()) if data.root else None
    return data.model_copy(update={"root": root})
