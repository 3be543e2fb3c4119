"""The source of catalogue functions in fingerprints: an edited function is another function, a new comment is not.

What a function *is* is its syntax and that of every definition it reaches in the project's packages below, without
docstrings, comments and layout. ``source_digests.json`` holds the digests for which the declared versions stand: a
function that agrees with it adds nothing to a fingerprint, so runs made before this file still continue.
``python -m kd.jobfile.source_digests > kd/jobfile/source_digests.json`` renews it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from kd.catalog import PLACES, entries
from kd.user_entries import CALLERS

PACKAGES = ("kd.models", "kd.losses", "kd.data", "kd.train", "kd.distill")
FUNCTIONS_OF_LIBRARIES = (  # entries are made for each network of these, under its own name
    ("kd.models.library", "timm_network"),
    ("kd.models.library", "torchvision_network"),
    *CALLERS.values(),
)
_FILE = "source_digests.json"
_TEXT = "the text of all packages"  # its key beside the functions


@dataclass(frozen=True, slots=True)
class _Module:
    """A module's top level: its definitions and imports by name, and the statements that run whoever imports it."""

    definitions: Mapping[str, list[ast.stmt]]
    imports: Mapping[str, tuple[str, str]]  # name here -> module, name there
    loose: list[ast.stmt]


def source_digest(module: str, function: str) -> str:
    """Return the digest of a function of the project and of all that it reaches below ``PACKAGES``."""
    declared = declared_digest(module, function)
    return declared if declared is not None and _as_declared() else _computed(module, function)


def _computed(module: str, function: str) -> str:
    digest = hashlib.sha256()
    for place in sorted(_reached(module, function)):
        digest.update(f"{'.'.join(place)} {_definition(*place)[0]}\n".encode())
    return digest.hexdigest()[:16]


def declared_digest(module: str, function: str) -> str | None:
    """Return the digest for which the declared versions stand, or None for a function that they do not know."""
    found: str | None = _declared().get(f"{module}.{function}")
    return found


def current_digests() -> dict[str, str]:
    """Return the digests of all functions of the catalogue as they are now, by their whole names."""
    places = {(entry.module, entry.function) for kind in PLACES for entry in entries(kind).values()}
    found = {".".join(place): _computed(*place) for place in sorted({*places, *FUNCTIONS_OF_LIBRARIES})}
    return {_TEXT: _text_digest(), **found}


@cache
def _as_declared() -> bool:
    """Whether no letter of the packages has changed: then nothing need be parsed, which takes 0.2 s."""
    return _declared().get(_TEXT) == _text_digest()


def _text_digest() -> str:
    digest = hashlib.sha256()
    for package in (*PACKAGES, "kd.data.sources"):
        modules = [file for file in files(package).iterdir() if file.name.endswith(".py")]
        for file in sorted(modules, key=lambda file: file.name):
            digest.update(f"{package}.{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _declared() -> dict[str, str]:
    found: dict[str, str] = json.loads((files("kd.jobfile") / _FILE).read_text(encoding="utf-8"))
    return found


def _reached(module: str, name: str) -> set[tuple[str, str]]:
    """Return (module, name) of a definition and of everything that it uses, directly or not."""
    waiting, met = [(module, name)], {(module, name)}
    while waiting:
        for place in _definition(*waiting.pop())[1]:
            if place not in met:
                met.add(place)
                waiting.append(place)
    return met


@cache
def _definition(module: str, name: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the plain text of a definition, and where the definitions lie that it uses. No name: the loose ones."""
    here = _module(module)
    nodes = here.definitions[name] if name else here.loose
    used: set[tuple[str, str]] = {(module, "")}
    for node in (inner for statement in nodes for inner in ast.walk(statement)):
        if isinstance(node, ast.Name):
            used.update(_meant(module, node.id))
        elif isinstance(node, ast.ImportFrom):
            used.update(place for alias in node.names for place in _places(node.module or "", alias.name))
    return "\n".join(map(_plain, nodes)), frozenset(used)


def _meant(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield where the definition lies that a name of a module means, if it is one of the project's packages."""
    here = _module(module)
    if name in here.definitions:
        yield module, name
    elif name in here.imports:
        yield from _places(*here.imports[name])


def _places(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the definitions that ``from module import name`` brings; of a module, all of them."""
    if not f"{module}.".startswith(tuple(f"{package}." for package in PACKAGES)):
        return
    if _source(f"{module}.{name}") is not None:
        whole = f"{module}.{name}"
        yield from ((whole, definition) for definition in _module(whole).definitions)
    else:
        yield from _meant(module, name)


@cache
def _module(module: str) -> _Module:
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, tuple[str, str]] = {}
    loose: list[ast.stmt] = []
    for node in ast.parse(_source(module) or "").body:
        if isinstance(node, ast.ImportFrom):
            imports.update({alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names})
        elif names := _defined(node):
            for name in names:
                definitions.setdefault(name, []).append(node)
        elif not isinstance(node, ast.Import) and not _is_text(node):
            loose.append(node)
    return _Module(definitions, imports, loose)


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement gives a meaning to: a definition's own, an assignment's plain targets."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    elements = [inner for target in targets for inner in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [inner.id for inner in elements if isinstance(inner, ast.Name)]


@cache
def _source(module: str) -> str | None:
    """Return the text of a module of the project (of a package, that of its first file), or None."""
    package, _, name = module.rpartition(".")
    parts = package.split(".")
    file = files(parts[0]).joinpath(*parts[1:], f"{name}.py")
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _plain(node: Any) -> str:
    """Return syntax as text that is the same in every version of Python: no empty fields, no places, no docstrings."""
    if isinstance(node, list):
        return f"[{','.join(_plain(item) for item in node if not _is_text(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    present = ((name, getattr(node, name, None)) for name in node._fields if name != "kind")
    return f"{type(node).__name__}({','.join(f'{k}={_plain(v)}' for k, v in present if v not in (None, []))})"


def _is_text(node: object) -> bool:
    """Whether a statement is a text by itself: a docstring, which changes nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


if __name__ == "__main__":
    json.dump(current_digests(), sys.stdout, indent=1)
    sys.stdout.write("\n")
