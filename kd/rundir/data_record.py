"""What jobs have read, whole, of data that a login node only samples: kept beside the runs that use it.

    <results>/.data/<identity>/first      SHA-256 of the content that the identity stands for
    <results>/.data/<identity>/<state>    SHA-256 of what lay there under these names, sizes and times

The first job that reads a data set decides what its sampled identity means. Other content under the same sample is
other data from then on.
"""

from __future__ import annotations

from pathlib import Path

from kd.files import write_text

FOLDER = ".data"
FIRST = "first"


def first_digest(results: Path, identity: str) -> str | None:
    """Return the digest of the content that an identity stands for, or None while no job has read it."""
    return _read(_file(results, identity, FIRST))


def digest_of_state(results: Path, identity: str, state: str) -> str | None:
    """Return the digest of the whole content that lay there when its files had these names, sizes and times."""
    return _read(_file(results, identity, state))


def record(results: Path, identity: str, state: str, digest: str) -> None:
    """Keep what was read whole. What is on record already stays."""
    for name in (FIRST, state):
        file = _file(results, identity, name)
        if not file.exists():
            write_text(file, digest)


def _file(results: Path, identity: str, name: str) -> Path:
    return results / FOLDER / identity / name


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip() or None
    except OSError:
        return None
