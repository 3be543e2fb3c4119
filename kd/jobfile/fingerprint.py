"""Fingerprints: a digest of everything that changes what a stage computes, and of nothing else.

Data counts by its bytes, not by its path or age, as far as a login node can read them quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kd.catalog import find
from kd.data.folder_walk import walk
from kd.errors import DataError
from kd.jobfile.versions import LATER_ARGUMENTS, Layer, version_of_loss, versions_of
from kd.rundir.stage_spec import NOT_IN_FINGERPRINT

SAMPLES = 16  # of a file too large to hash whole, spread evenly from its first byte to its last
SAMPLE_BYTES = 1 << 18
MOST_FILES_READ = 64  # of a folder, spread evenly over its sorted names; all names count


def fingerprint(kind: str, layers: Iterable[Layer], content: Mapping[str, Any]) -> str:
    """Return the digest of what a job of a kind does, by which layers of code; ``content`` is JSON."""
    whole = {**content, "kind": kind, "code": versions_of(layers)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings (JSON) that decide what comes out of a stage; those of a search hold a training's.

    A file of weights counts by what is in it.
    """
    kept = {
        key: deciding(value) if key == "training" else value
        for key, value in settings.items()
        if key not in NOT_IN_FINGERPRINT
    }
    if isinstance(file := kept.get("file"), str):
        kept["file"] = data_identity(file)
    if "model" in kept:
        kept["model"] = _deciding_model(kept["model"])
    if "loss" in kept:
        kept["loss"] = {name: _deciding_term(name, term) for name, term in kept["loss"].items()}
    return kept


def _deciding_term(name: str, term: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides of a loss's term: its version, and no later argument that is as if it were not there."""
    kept = {
        key: value
        for key, value in term["arguments"].items()
        if key not in LATER_ARGUMENTS or value != LATER_ARGUMENTS[key]
    }
    return {**term, "arguments": kept, **version_of_loss(name)}


def _deciding_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides of a model: files by their content, and code that is not this project's by what it is."""
    arguments, entry = model["arguments"], find("model", model["name"])
    if isinstance(file := arguments.get("pretrained"), str):
        arguments = {**arguments, "pretrained": data_identity(file)}
    code = {"code": entry.identity} if entry and entry.identity else {}
    return {**model, "arguments": arguments, **code}


def data_identity(root: str | None) -> str:
    """Return a digest of a data root (a file or a folder), or ``none`` without a root.

    Files up to 4 MiB are hashed whole; of larger ones the size and 16 samples, the last of which ends at the end of
    the file, where archives keep their checksums. A folder is its names, and the content of 64 files at most. Hidden
    files do not count. What is not there (yet, or not on this machine) is known by its path alone. Raises DataError
    when it cannot be read.
    """
    if root is None:
        return "none"
    path = Path(root)
    try:
        if path.is_dir():
            return _folder_identity(path)
        return _file_identity(path) if path.is_file() else f"absent: {root}"
    except OSError as error:
        raise DataError(f"{error.filename or root}: {error.strerror}") from None


def _folder_identity(folder: Path) -> str:
    names = sorted(_visible_files(folder))
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
    step = max(1, -(-len(names) // MOST_FILES_READ))
    for name in names[::step]:
        digest.update(_file_identity(folder / name).encode())
    return digest.hexdigest()


def _visible_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it, also behind links; the first ones with ``./``."""
    for path, is_folder in walk(folder):
        if not is_folder:
            yield path if "/" in path else f"./{path}"


def _file_identity(path: Path) -> str:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        if size <= SAMPLES * SAMPLE_BYTES:
            digest.update(file.read())
        else:
            for sample in range(SAMPLES):
                file.seek((size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
