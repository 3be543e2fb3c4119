"""The user's modules as text: those that a job file lists in ``code:``, those frozen with a run, installed packages.

A process is bound to the code of one job file or of one run. Nothing here imports a module of the user's.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One module. ``place`` is the file's path for messages; of a ``listed`` one, names may be given without it."""

    module: str
    place: str
    text: bytes
    is_package: bool = False
    listed: bool = False


class NotReadable(Exception):
    """Why a name leads to no function and no class, to end an error line."""


_bound: dict[str, Source] = {}
_when_bound: list[Callable[[], None]] = []


def bind(sources: Iterable[Source]) -> None:
    """Bind this process to these modules, in place of those that it was bound to before."""
    _bound.clear()
    _bound.update({source.module: source for source in sources})
    for listener in _when_bound:
        listener()


def bound() -> Mapping[str, Source]:
    """Return the modules that this process is bound to, by name."""
    return _bound


def when_bound(listener: Callable[[], None]) -> None:
    """Call ``listener`` after each binding."""
    _when_bound.append(listener)


def read_source(module: str) -> Source | None:
    """Return a module's source, a bound one first, else as an import would find it; None where there is none.

    Raises NotReadable when its file cannot be read.
    """
    if module in _bound:
        return _bound[module]
    file = installed_file(module)
    if file is None:
        return None
    try:
        facts = file.stat()
        return _read(module, file, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise NotReadable(f"{file}: cannot be read ({error.strerror})") from None


def tree_of(source: Source) -> ast.Module:
    """Return a module's syntax tree, which nobody may change. Raises NotReadable, with the line, when it is none."""
    try:
        return _parsed(source)
    except SyntaxError as error:
        raise NotReadable(f"{source.place}:{error.lineno or 1}:{error.offset or 1}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotReadable(f"{source.place}:1:1: no Python source ({error})") from None


def installed_file(module: str) -> Path | None:
    """Return the source file of a module, found as an import would find it, with nothing imported."""
    top, *rest = module.split(".")
    if not all(part.isidentifier() for part in (top, *rest)):
        return None
    origin, folders = installed(top, tuple(sys.path))
    if not rest:
        return Path(origin) if origin.endswith(".py") and os.path.isfile(origin) else None
    for folder in folders:
        inside = Path(folder).joinpath(*rest)
        for file in (inside.with_suffix(".py"), inside / "__init__.py"):
            if file.is_file():
                return file
    return None


@lru_cache(maxsize=256)
def installed(top: str, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the file of a top module on Python's path (empty: none) and the folders of its submodules."""
    for finder in sys.meta_path:
        if getattr(finder, "serves_bound", False) or not hasattr(finder, "find_spec"):
            continue  # what is bound is not installed
        if (found := finder.find_spec(top, None)) is not None:
            return found.origin or "", tuple(found.submodule_search_locations or ())
    return "", ()


@lru_cache(maxsize=1024)
def _read(module: str, file: Path, modified: int, size: int) -> Source:
    return Source(module=module, place=str(file), text=file.read_bytes(), is_package=file.name == "__init__.py")


@lru_cache(maxsize=1024)
def _parsed(source: Source) -> ast.Module:
    return ast.parse(source.text, filename=source.place)
