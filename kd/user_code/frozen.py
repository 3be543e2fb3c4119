"""The modules of ``code:`` and those that they import from beside them: collected, frozen with a run, read again.

A run keeps them in one zip file, so that jobs import what was submitted, whatever is edited meanwhile.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kd.files import atomic_path
from kd.user_code.sources import NotReadable, Source, installed, tree_of
from kd.user_code.syntax import import_targets

_INIT = "__init__"
_LISTED = b"listed modules"  # begins the zip's comment, which names them
_TIME = (1980, 1, 1, 0, 0, 0)  # equal modules give equal bytes
LARGEST = 8 << 20  # bytes of one module


def collect(listed: Sequence[Path]) -> list[Source]:
    """Return the modules that a job file lists (files, or folders with an ``__init__.py``) and what they import.

    Raises NotReadable, naming the place, for a file that is missing or no Python, and for a name that is taken.
    """
    found: dict[str, Source] = {}
    for path in listed:
        for source in _listed(path):
            _add(found, source)
        waiting = [source for source in found.values() if Path(source.place).is_relative_to(path.parent)]
        while waiting:
            for target in import_targets(waiting.pop()):
                for source in _beside(target, path.parent):
                    if source.module not in found:
                        _add(found, source)
                        waiting.append(source)
    return list(found.values())


def freeze(sources: Iterable[Source], target: Path) -> None:
    """Write modules into one zip file; with none, remove it."""
    modules = sorted(sources, key=lambda source: source.module)
    if not modules:
        target.unlink(missing_ok=True)
        return
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in modules:
            archive.writestr(zipfile.ZipInfo(_file_of(source), _TIME), source.text)
        names = " ".join(source.module for source in modules if source.listed)
        archive.comment = _LISTED + b": " + names.encode()


def read_frozen(path: Path) -> list[Source]:
    """Return the modules of a run; none where it has no code of the user's.

    Raises NotReadable when the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            listed = set(archive.comment.decode().partition(": ")[2].split())
            return [_read_one(path, archive, entry, listed) for entry in archive.infolist()]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise NotReadable(f"{path}: damaged ({error})") from None


def _read_one(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, listed: set[str]) -> Source:
    if entry.file_size > LARGEST or not entry.filename.endswith(".py"):
        raise ValueError(f"{entry.filename!r} is no module of a user's")
    parts = entry.filename.removesuffix(".py").split("/")
    is_package = parts[-1] == _INIT
    module = ".".join(parts[:-1] if is_package else parts)
    place = f"{path}/{entry.filename}"
    text = archive.read(entry)
    return Source(module=module, place=place, text=text, is_package=is_package, listed=module in listed)


def _listed(path: Path) -> Iterator[Source]:
    """Yield the module of a listed file, or all modules of a listed folder."""
    if path.is_dir():
        if not (path / "__init__.py").is_file():
            raise NotReadable(f"{path}: a folder of modules needs an __init__.py")
        for file in sorted(path.rglob("*.py")):
            inside = file.relative_to(path.parent).with_suffix("").parts
            if all(part.isidentifier() for part in inside):
                yield _source(file, inside, listed=True)
        return
    if path.suffix != ".py":
        raise NotReadable(f"{path}: expected a file of Python (.py), or a folder with an __init__.py")
    if not path.is_file():
        raise NotReadable(f"there is no file {path}")
    if not path.stem.isidentifier():
        raise NotReadable(f"{path}: '{path.stem}' cannot be imported: rename it to letters, digits and '_'")
    yield _source(path, (path.stem,), listed=True)


def _beside(module: str, folder: Path) -> Iterator[Source]:
    """Yield the module that an import beside a listed file brings, if it lies there, and the packages around it."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        inside = folder.joinpath(*parts[:length])
        if inside.with_suffix(".py").is_file():
            yield _source(inside.with_suffix(".py"), tuple(parts[:length]))
        elif (inside / "__init__.py").is_file():
            yield _source(inside / "__init__.py", (*parts[:length], _INIT))
        elif length < len(parts) and inside.is_dir() and _holds(folder, parts):
            text = b""  # a folder without an __init__.py is a package too
            yield Source(module=".".join(parts[:length]), place=f"{inside}/__init__.py", text=text, is_package=True)
        else:
            return


def _holds(folder: Path, parts: Sequence[str]) -> bool:
    inside = folder.joinpath(*parts)
    return inside.with_suffix(".py").is_file() or (inside / "__init__.py").is_file()


def _source(file: Path, parts: Sequence[str], *, listed: bool = False) -> Source:
    is_package = parts[-1] == _INIT
    module = ".".join(parts[:-1] if is_package else parts)
    try:
        if file.stat().st_size > LARGEST:
            raise NotReadable(f"{file}: larger than {LARGEST >> 20} MiB: this is no file for people to write")
        text = file.read_bytes()
    except OSError as error:
        raise NotReadable(f"{file}: cannot be read ({error.strerror})") from None
    source = Source(module=module, place=str(file), text=text, is_package=is_package, listed=listed)
    tree_of(source)
    return source


def _add(found: dict[str, Source], source: Source) -> None:
    """Add a module. Raises NotReadable when its name means another one already."""
    known = found.get(source.module)
    if known is not None and known.place != source.place:
        raise NotReadable(f"{source.place}: {known.place} is the module '{source.module}' already; rename one")
    top = source.module.partition(".")[0]
    if taken := _taken(top, Path(source.place)):
        raise NotReadable(f"{source.place}: '{top}' is {taken}; rename the file")
    if known is None or source.listed:
        found[source.module] = source


def _taken(top: str, file: Path) -> str | None:
    """Return what else is imported under a name, or None."""
    if top in sys.stdlib_module_names:
        return "a module of Python"
    origin, _ = installed(top, tuple(sys.path))
    if not origin or Path(origin).resolve() == file.resolve() or Path(origin).parent in file.parents:
        return None
    return f"an installed module ({origin})"


def _file_of(source: Source) -> str:
    name = source.module.replace(".", "/")
    return f"{name}/{_INIT}.py" if source.is_package else f"{name}.py"
