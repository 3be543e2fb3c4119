"""The networks of timm and torchvision: names and arguments, from the installed sources, without importing them.

A network is named ``timm/mobilenetv3_small_050``, in timm with the tag of its published weights behind a dot where one
is meant (``timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k``). It takes what ``kd.models.library`` does and what the
constructor of its class takes. Only the two definitions that matter are parsed: all of timm would take seconds.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from kd.signatures import REQUIRED, Signature, read_signature

SEPARATOR = "/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A library of networks, each a function with a decorator. ``supplied`` is what the code here fills in."""

    function: str  # of kd.models.library
    supplied: tuple[str, ...]


_PLACEMENT = ("device", "dtype")
LIBRARIES: Mapping[str, Library] = {
    "timm": Library(
        function="timm_network",
        supplied=("num_classes", "in_chans", "img_size", "pretrained", "pretrained_cfg", *_PLACEMENT),
    ),
    "torchvision": Library(
        function="torchvision_network", supplied=("num_classes", "image_size", "weights", "progress", *_PLACEMENT)
    ),
}
_DECORATED = rb"^@register_model(?:\(\))?\n(?:@[^\n]*\n)*def %b\("
_REGISTERED = re.compile(_DECORATED % rb"(\w+)", re.MULTILINE)
_NEXT_AT_TOP = re.compile(rb"^(?![)\]\s#])", re.MULTILINE)
_CONSTRUCTOR = b"\n    def __init__("
_NEXT_METHOD = re.compile(rb"^    (?=def |@)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryNetwork:
    """One network of a library. ``source`` is the text of its module."""

    library: str
    name: str
    tag: str
    summary: str
    source: bytes
    signature: Signature


def split_name(name: str) -> tuple[str, str] | None:
    """Return library and network of a name such as ``timm/resnet18``, or None for any other name."""
    library, _, network = name.partition(SEPARATOR)
    return (library, network) if library in LIBRARIES and network else None


def installed_version(library: str) -> str | None:
    """Return the version of an installed library, or None where there is none."""
    folder = _package_folder(library, tuple(sys.path))
    found = folder and next(iter(sorted(folder.parent.glob(f"{library}-*.dist-info"))), None)
    return found.name.removeprefix(f"{library}-").removesuffix(".dist-info") if found else None


@cache
def names(library: str) -> tuple[str, ...]:
    """Return the names of all networks of a library, sorted."""
    return tuple(sorted({name.decode() for text in _sources(library) for name in _REGISTERED.findall(text)}))


def library_of(network: str) -> str | None:
    """Return the first library that has a network of this name."""
    return next((library for library in LIBRARIES if network.partition(".")[0] in names(library)), None)


@cache
def find_network(library: str, network: str) -> LibraryNetwork | None:
    """Return a network of a library, or None where the library has none of this name and tag."""
    name, _, tag = network.partition(".")
    for source in _sources(library):
        if f"\ndef {name}(".encode() not in source or not _registers(source, name):
            continue
        if tag and not any(f"{quote}{name}.{tag}{quote}".encode() in source for quote in "'\""):
            return None
        function = _definition(source, f"def {name}(")
        assert isinstance(function, ast.FunctionDef)
        return LibraryNetwork(
            library=library,
            name=name,
            tag=tag,
            summary=(ast.get_docstring(function) or "").strip().partition("\n")[0].strip(),
            source=source,
            signature=_signature(library, function, source),
        )
    return None


def _registers(source: bytes, name: str) -> bool:
    """Whether the function of this name has the decorator; only the lines before it are looked at."""
    at = source.index(f"\ndef {name}(".encode()) + 1
    decorators = source[: at - 1].rpartition(b"\n\n")[2]
    return (
        re.search(_DECORATED % name.encode(), decorators + source[at - 1 : at + len(name) + 6], re.MULTILINE)
        is not None
    )


def source_identity(network: LibraryNetwork) -> str:
    """Return what a network *is*, for fingerprints: the library's version and the bytes of the network's module."""
    digest = hashlib.sha256(network.source).hexdigest()[:16]
    return f"{network.library} {installed_version(network.library)} {digest}"


def _signature(library: str, function: ast.FunctionDef, source: bytes) -> Signature:
    """Return what may be given: the function's own parameters and, where it passes the rest on, its class's."""
    supply = LIBRARIES[library].supplied
    whole = read_signature(function, supply=supply)
    if not whole.open_ended:
        return whole
    returned = ast.unparse(function.returns) if function.returns else ""
    arguments, supplied, open_ended = dict(whole.arguments), list(whole.supplied), True
    for constructor in _constructors(library, returned, source):
        own = read_signature(constructor, supply=supply, method=True)
        supplied += own.supplied
        open_ended = own.open_ended
        for name, argument in own.arguments.items():
            if argument.default is not REQUIRED:  # the function itself gives what has no default
                arguments.setdefault(name, argument)
    return Signature(supplied=tuple(dict.fromkeys(supplied)), arguments=arguments, open_ended=open_ended)


def _constructors(library: str, name: str, source: bytes) -> Iterator[ast.FunctionDef]:
    """Yield the constructor of a class and, as long as they pass keywords on, those of its bases."""
    while name.isidentifier() and (found := _class(library, name, source)):
        tree, source = found
        constructors = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        yield from constructors
        if constructors and constructors[0].args.kwarg is None:
            return
        name = ast.unparse(tree.bases[0]) if tree.bases else ""


def _class(library: str, name: str, source: bytes) -> tuple[ast.ClassDef, bytes] | None:
    """Return a class of a module or, where it is imported there, of the library, and the text it stands in."""
    for text in (source, *_sources(library)):
        found = _definition(text, f"class {name}(")
        if isinstance(found, ast.ClassDef):
            return found, text
    return None


def _definition(source: bytes, start: str) -> ast.stmt | None:
    """Parse the one definition at the top of a module that begins like this; of a class no more than its constructor.

    All of a module would take many times as long.
    """
    at = source.find(f"\n{start}".encode()) + 1
    if not at:
        return None
    end = _NEXT_AT_TOP.search(source, source.index(b"\n", at) + 1)
    text = source[at : end.start() if end else None]
    if start.startswith("class") and (constructor := text.find(_CONSTRUCTOR)) >= 0:
        following = _NEXT_METHOD.search(text, constructor + len(_CONSTRUCTOR))
        text = text[: following.start() if following else None]
    return ast.parse(text).body[0]


@cache
def _sources(library: str) -> tuple[bytes, ...]:
    """Return the text of every module of a library that may hold networks."""
    folder = _package_folder(library, tuple(sys.path))
    return tuple(file.read_bytes() for file in sorted((folder / "models").glob("*.py"))) if folder else ()


@cache
def _package_folder(library: str, path: tuple[str, ...]) -> Path | None:
    found = find_spec(library)
    return Path(found.origin).parent if found and found.origin else None
