"""What a data root or a file *is*: a digest of its bytes, not of its path or age, as far as a login node can read them.

All of a small folder counts. Of a large one the name and size of every file count, and the content of some; what a job
has read of it, whole, tells other content under the same sample apart (kd.rundir.data_record).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from kd.data.folder_walk import walk
from kd.errors import DataError
from kd.files import sha256_file
from kd.rundir.data_record import digest_of_state, first_digest, record

ABSENT = "absent: "  # begins the identity of what is not there
SAMPLES = 16  # of a file too large to hash whole, spread evenly from its first byte to its last
SAMPLE_BYTES = 1 << 18
# A folder within both bounds is read whole. Reading this much from a file server takes a login node seconds.
MOST_FILES_READ = 5000
MOST_BYTES_READ = 256 << 20
FILES_SAMPLED = 64  # of a larger folder, spread evenly over its sorted names
MOST_BYTES_READ_AGAIN = 16 << 30  # of data that were read whole before: seconds in a job, a minute on a login node
READERS = 8  # threads; hashing lets go of the interpreter lock


@dataclass(frozen=True, kw_only=True, slots=True)
class DataContent:
    """The digest of a data root, and of a folder that was read whole what each file adds to it, by its name."""

    identity: str
    files: Mapping[str, str] = field(default_factory=dict)
    state: str = ""  # of data that were sampled only: a digest of the names, sizes and times of all files


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
        return _file_content(path) if path.is_file() else DataContent(identity=f"{ABSENT}{root}")
    except OSError as error:
        raise DataError(f"{error.filename or root}: {error.strerror}") from None


def known_content(root: str | None, results: Path) -> DataContent:
    """Return what a data root is, as far as jobs of a results folder have read it whole.

    Where files have other times than any job has seen, the data are read whole here, if they are not enormous.
    """
    content = data_content(root)
    first = first_digest(results, content.identity) if content.state else None
    if root is None or first is None:
        return content
    digest = digest_of_state(results, content.identity, content.state)
    if digest is None and _bytes_of(Path(root)) <= MOST_BYTES_READ_AGAIN:
        digest = whole_digest(root)
        record(results, content.identity, content.state, digest)
    return replace(content, identity=_told_apart(content.identity, first, digest or first))


def read_content(root: str, results: Path) -> DataContent:
    """Return what a data root is, read whole: for jobs, which read it anyway. What was read is put on record.

    Beyond 16 GiB what is on record under the same names, sizes and times is not read once more.
    Raises DataError for other content under the very names, sizes and times that were on record.
    """
    content = data_content(root)
    if not content.state:
        return content
    before = digest_of_state(results, content.identity, content.state)
    enormous = before is not None and _bytes_of(Path(root)) > MOST_BYTES_READ_AGAIN
    digest = before if before is not None and enormous else whole_digest(root)
    if before not in (None, digest):
        raise DataError(
            f"the content of {root} is not what an earlier job read, though names, sizes and times are the same: "
            "restore it, or touch the files that are meant to differ"
        )
    record(results, content.identity, content.state, digest)
    first = first_digest(results, content.identity) or digest
    return replace(content, identity=_told_apart(content.identity, first, digest))


def whole_digest(root: str) -> str:
    """Return the SHA-256 of every byte and name of a data root."""
    path = Path(root)
    names = sorted(_visible_files(path)) if path.is_dir() else [""]
    with ThreadPoolExecutor(READERS) as readers:
        digests = readers.map(lambda name: sha256_file(path / name), names)
        whole = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
        for digest in digests:
            whole.update(digest.encode())
    return whole.hexdigest()


def _told_apart(identity: str, first: str, digest: str) -> str:
    """Return the identity of a content: the sampled one for the content that was read first."""
    return identity if digest == first else hashlib.sha256(f"{identity} {digest}".encode()).hexdigest()


def _bytes_of(path: Path) -> int:
    files = [path / name for name in _visible_files(path)] if path.is_dir() else [path]
    return sum(os.stat(file).st_size for file in files)


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


def _file_content(path: Path) -> DataContent:
    facts = path.stat()
    sampled = facts.st_size > SAMPLES * SAMPLE_BYTES
    return DataContent(identity=_file_identity(path), state=_state([""], [facts]) if sampled else "")


def _state(names: Sequence[str], facts: Sequence[os.stat_result]) -> str:
    digest = hashlib.sha256()
    for name, fact in zip(names, facts, strict=True):
        digest.update(f"{name} {fact.st_size} {fact.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _folder_content(folder: Path) -> DataContent:
    names = sorted(_visible_files(folder))
    facts = [os.stat(folder / name) for name in names] if len(names) > FILES_SAMPLED else []
    sizes = [fact.st_size for fact in facts]
    whole = len(names) <= MOST_FILES_READ and sum(sizes) <= MOST_BYTES_READ
    step = 1 if whole else -(-len(names) // FILES_SAMPLED)
    files = {name: _file_identity(folder / name) for name in names[::step]}
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
    for identity in files.values():
        digest.update(identity.encode())
    if not whole:
        digest.update(" ".join(map(str, sizes)).encode())
    state = "" if whole else _state(names, facts)
    return DataContent(identity=digest.hexdigest(), files=files if whole else {}, state=state)


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
