"""Names of the user's own code: ``mypackage.nets:MyNet``, or ``MyNet`` alone where the job file lists its module.

Names that a job file or a run folder gives are allowed to be imported. A file of weights names its model too, and may
be anybody's: no module is imported because such a file says so.
"""

from __future__ import annotations

from kd.user_code.sources import NotReadable, Source, bound, tree_of
from kd.user_code.syntax import definitions

SEPARATOR = ":"
_allowed: set[str] = set()


def split_name(name: str) -> tuple[str, str] | None:
    """Return module and attribute of a name such as ``mypackage.nets:MyNet``, or None for any other name."""
    module, separator, attribute = name.partition(SEPARATOR)
    return (module, attribute) if separator else None


def places_of(name: str) -> list[Source]:
    """Return the listed modules that define a name written without its module: ``Net``, or ``Net.from_name``."""
    top = name.partition(".")[0]
    return [source for source in bound().values() if source.listed and top in _defined(source)]


def whole_name(name: str) -> str | None:
    """Return the name with its module, or None where no listed module defines it, or several do."""
    places = places_of(name)
    return f"{places[0].module}{SEPARATOR}{name}" if len(places) == 1 else None


def listed_names() -> list[str]:
    """Return what the listed modules define, for did-you-mean."""
    return [name for source in bound().values() if source.listed for name in _defined(source)]


def allow(name: str) -> None:
    """Let this process import the code of this name."""
    _allowed.add(name)


def is_allowed(name: str) -> bool:
    """Whether what this names may be imported: it is none of the user's, or was allowed."""
    return split_name(name) is None or name in _allowed


def _defined(source: Source) -> list[str]:
    try:
        return [name for name in definitions(tree_of(source)) if not name.startswith("_")]
    except NotReadable:  # reported where the job file lists it
        return []
