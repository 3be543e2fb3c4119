"""What a name, an id and a path may look like in a file of a run folder: nothing that reaches out of its place.

Such files may be another person's. Their texts become paths, job ids for Slurm's commands and lines of a batch script,
so a value of another form is no value: the file that holds it is damaged.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, TypeAlias

from msgspec import Meta

# \Z and not $, which also matches before a line break at the end
PlainName: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=128)]
# of a plan that is only looked at: printed as text, never a way out of a folder
ShownName: TypeAlias = Annotated[str, Meta(pattern=r"\A(?!\.)(?!.*/)[ -~]+\Z", max_length=128)]
ShownStage: TypeAlias = Annotated[str, Meta(pattern=r"\A(?![/.])(?!.*/[/.])[ -~]+\Z", max_length=128)]
JobId: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9]+(_[0-9]+)?\Z", max_length=32)]
JobName: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*(/seed-[0-9]{1,10})?\Z", max_length=160)
]
SeedNumber: TypeAlias = Annotated[int, Meta(ge=0, lt=2**32)]
Sha256: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
# of a file in its folder: no '..', no leading '/', no control characters
RelativePath: TypeAlias = Annotated[
    str, Meta(pattern=r"\A(?!/)(?!(.*/)?\.\.?(/|\Z))[^\x00-\x1f\x7f\\]+\Z", max_length=400)
]


def folder_tag(folder: Path) -> str:
    """Return 12 characters that stand for this very folder: a copy of it has others."""
    return _tag(os.path.realpath(folder))


def tags_of(folder: Path) -> frozenset[str]:
    """Return the tags that stand for this folder: of its own path, and of the one that it is named by."""
    return frozenset((folder_tag(folder), _tag(os.path.abspath(folder))))


def _tag(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:12]
