"""What a person should know of their data although it stops nothing: one line each on stderr, so in a job's log too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kd.errors import printable

_NAMED = 3


def note(source: Path, text: str) -> None:
    """Print one line about a data set."""
    print(f"kd: {source}: {printable(text)}", file=sys.stderr)


def some(names: Sequence[str]) -> str:
    """Return the first few of many names, each in quotes."""
    shown = ", ".join(f"'{printable(name)}'" for name in names[:_NAMED])
    return f"{shown}, …" if len(names) > _NAMED else shown


def counted(count: int, thing: str) -> str:
    """Return ``3 images``, ``1 image``, ``2 classes``."""
    return f"{count:,} {thing}{'' if count == 1 else 'es' if thing.endswith('s') else 's'}"


def note_more_frames(source: Path, names: Sequence[str]) -> None:
    """Say of which files only the first page or frame is read."""
    if names:
        each = counted(len(names), "file")
        note(source, f"of {each} with several pages or frames the first is read: {some(sorted(names))}")
