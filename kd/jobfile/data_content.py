"""What a data root or a file *is*: a digest of its bytes, not of its path or age, as far as a login node can read them.

All of a small folder counts. Of a large one the name and size of every file count, and the content of some.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kd.data.folder_walk import walk
from kd.errors import DataError

ABSENT = "absent: "  # begins the identity of what is not there
SAMPLES = 16  # of a file too large to hash whole, spread evenly from its first byte to its last
SAMPLE_BYTES = 1 << 18
# A folder within both bounds is read whole. Reading this much from a file server takes a login node seconds.
MOST_FILES_READ = 5000
MOST_BYTES_READ = 256 << 20
FILES_SAMPLED = 64  # of a larger folder, spread evenly over its sorted names


@dataclass(frozen=True, kw_only=True, slots=True)
class DataContent:
    """The digest of a data root, and of a folder that was read whole what each file adds to it, by its name."""

    identity: str
    files: Mapping[str, str] = field(default_factory=dict)


def data_identity(root: str | None) -> str:
    """Return the digest of a data root; see ``data_content``."""
    return data_content(root).identity


def data_content(root: str | None) -> DataContent:
    """Return what a data root (a file or a folder) is; its identity is ``none`` without a root.

    Files up to 4 MiB are hashed whole; of larger ones the size and 16 samples, the last of which ends at the end of
    the file, where archives keep their checksums. All files of a folder count so, up to 5,000 files and 256 MiB; beyond
    that their names and sizes, and the content of 64. Hidden files do not count, nor do times: a copy is the same data.
    What is not there (yet, or not on this machine) is known by its path alone. Raises DataError when it cannot be read.
    """
    if root is None:
        return DataContent(identity="none")
    path = Path(root)
    try:
        if path.is_dir():
            return _folder_content(path)
        return DataContent(identity=_file_identity(path) if path.is_file() else f"{ABSENT}{root}")
    except OSError as error:
        raise DataError(f"{error.filename or root}: {error.strerror}") from None


def file_changes(root: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return ``43 of 300 files of /data/photos have changed``, with how many are new and gone."""
    changed = sum(name in after and after[name] != digest for name, digest in before.items())
    new, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    counts = {
        f"{changed} of {len(before)} files of {root} have changed": changed,
        f"{new} of {len(after)} files of {root} are new": new,
        f"{gone} of {len(before)} files of {root} are gone": gone,
    }
    return ", ".join(words for words, count in counts.items() if count)


def _folder_content(folder: Path) -> DataContent:
    names = sorted(_visible_files(folder))
    sizes = [os.stat(folder / name).st_size for name in names] if len(names) > FILES_SAMPLED else []
    whole = len(names) <= MOST_FILES_READ and sum(sizes) <= MOST_BYTES_READ
    step = 1 if whole else -(-len(names) // FILES_SAMPLED)
    files = {name: _file_identity(folder / name) for name in names[::step]}
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
    for identity in files.values():
        digest.update(identity.encode())
    if not whole:
        digest.update(" ".join(map(str, sizes)).encode())
    return DataContent(identity=digest.hexdigest(), files=files if whole else {})


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
