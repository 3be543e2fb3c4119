"""The resume file: written atomically, two generations kept, read back without trusting its bytes.

There are never more than two on the disk, the one being written included: before a third is begun, the last is read
back and, if it is whole, the one before it goes.
"""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd.files import atomic_path

RESUME = "resume.pt"
PREVIOUS = "resume.previous.pt"


def save_resume(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``folder/resume.pt``; the one before it becomes ``resume.previous.pt``, if it is whole.

    A kill at any instant leaves at least one of them whole. Tensors that share memory are written once.
    """
    target, previous = folder / RESUME, folder / PREVIOUS
    proved = _is_whole(target)
    if proved:
        previous.unlink(missing_ok=True)
    with atomic_path(target) as temporary:
        torch.save(dict(values), temporary)
        if proved:
            os.replace(target, previous)


def load_resume(folder: Path) -> dict[str, Any] | None:
    """Return the newest readable state, on the CPU, or None.

    A damaged file costs a line on stderr, never the job.
    """
    for name in (RESUME, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            return _read(path)
        except (
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as error:
            print(f"kd: {path} is damaged and ignored ({error!r:.200})", file=sys.stderr)
    return None


def _is_whole(path: Path) -> bool:
    try:
        _compare_checksums(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return False
    return True


def _compare_checksums(path: Path) -> None:
    """Raise ValueError, or what zipfile raises, unless the file's parts have their checksums."""
    with zipfile.ZipFile(path) as archive:  # torch.load does not compare them
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"checksum of {damaged} differs")


def _read(path: Path) -> dict[str, Any]:
    _compare_checksums(path)
    values = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(values, dict):
        raise ValueError("not a state")
    return values


def random_state() -> dict[str, Any]:
    """Return the state of torch's generators on the CPU and on every GPU."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "gpus": gpus}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Take back what ``random_state`` returned; GPUs that are not here are left out."""
    torch.set_rng_state(state["cpu"])
    for index, generator in enumerate(state["gpus"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(generator, index)
