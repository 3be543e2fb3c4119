"""What a function or a class of the user's takes, read from its syntax tree.

What a job supplies is given to whoever takes it by name; every other parameter is an argument of the job file, and a
default stays with the code. A class is called with its arguments first; what a loss or an augmentation is then given
are the parameters of its ``forward`` or ``__call__``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from kd.errors import did_you_mean
from kd.signatures import Signature, read_signature
from kd.user_code.names import SEPARATOR
from kd.user_code.sources import NotReadable, Source, read_source, tree_of
from kd.user_code.syntax import Definition, brought_names, definitions

# what the code supplies by name, for each kind of the catalogue that may be the user's
SUPPLIED: Mapping[str, tuple[str, ...]] = {
    "model": ("num_classes", "in_channels", "image_size"),
    "dataset": ("root",),
    "loss": (),
    "augmentation": (),
}
CALLED_WITH = ("loss", "augmentation")  # kinds whose functions are called with what each batch gives
CALLS = ("forward", "__call__")
_DEEPEST = 20  # re-exports and bases, one behind the other


@dataclass(frozen=True, kw_only=True, slots=True)
class UserEntry:
    """One function, class or class method of the user's.

    ``signature`` is what it takes from the job file and from the job. ``called_with`` are the parameters that each
    batch fills: of a function its own, of a class those of its call.
    """

    kind: str
    module: str
    attribute: str
    source: Source  # where it is defined, which ``module`` may import it from
    line: int
    summary: str
    signature: Signature
    called_with: tuple[str, ...] = ()
    is_class: bool = False

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.module}{SEPARATOR}{self.attribute}"


@dataclass(frozen=True, slots=True)
class _Found:
    source: Source
    node: Definition
    method: Definition | None = None


def read_entry(kind: str, module: str, attribute: str, batch: Collection[str] = ()) -> UserEntry:
    """Return what is known of a function or a class without importing it.

    ``batch`` are the names that a batch can fill of a loss. Raises NotReadable when there is no such module, nothing
    of this name in it, or it is no Python.
    """
    source = read_source(module)
    if source is None:
        raise NotReadable(
            f"there is no module '{module}'; install its package, put its folder into PYTHONPATH, "
            "or list its file in 'code:'"
        )
    found = _find(source, attribute)
    called_with, taken = _call(kind, found, batch)
    supply = (*SUPPLIED[kind], *taken)
    node = found.method or found.node
    signature = _signature(found, supply)
    return UserEntry(
        kind=kind,
        module=module,
        attribute=attribute,
        source=found.source,
        line=node.lineno,
        summary=(ast.get_docstring(node) or ast.get_docstring(found.node) or "").strip().partition("\n")[0],
        signature=signature,
        called_with=called_with,
        is_class=isinstance(found.node, ast.ClassDef),
    )


def _find(source: Source, attribute: str, deep: int = 0) -> _Found:
    """Return the definition of an attribute, followed through the modules that it is imported from."""
    top, _, method = attribute.partition(".")
    known = definitions(tree_of(source))
    if top in known:
        node = known[top]
        return _Found(source, node, _class_method(source, node, method)) if method else _Found(source, node)
    for name, module, there in brought_names(source):
        if name not in (top, "*") or deep >= _DEEPEST or (other := read_source(module)) is None:
            continue
        try:
            return _find(other, f"{top if name == '*' else there}{'.' if method else ''}{method}", deep + 1)
        except NotReadable:
            if name != "*":
                raise
    raise NotReadable(f"{source.place} has no function and no class '{top}'{did_you_mean(top, list(known))}")


def _class_method(source: Source, node: Definition, method: str) -> Definition:
    if isinstance(node, ast.ClassDef):
        for _, each in _bases(source, node):
            for inner in each.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == method:
                    if {"classmethod", "staticmethod"}.isdisjoint(map(ast.unparse, inner.decorator_list)):
                        raise NotReadable(f"{source.place}:{inner.lineno}: '{method}' is no class method")
                    return inner
        known = [inner.name for inner in node.body if isinstance(inner, ast.FunctionDef)]
        raise NotReadable(f"{source.place}:{node.lineno}: no class method '{method}'{did_you_mean(method, known)}")
    raise NotReadable(f"{source.place}:{node.lineno}: '{node.name}' is no class, and has no '{method}'")


def _signature(found: _Found, supply: Collection[str]) -> Signature:
    if found.method is not None:
        assert isinstance(found.method, (ast.FunctionDef, ast.AsyncFunctionDef))
        static = "staticmethod" in map(ast.unparse, found.method.decorator_list)
        return read_signature(found.method, supply=supply, method=not static)
    if not isinstance(found.node, ast.ClassDef):
        return read_signature(found.node, supply=supply)
    if found.node.decorator_list:  # @dataclass, say, makes a constructor that nobody wrote
        return Signature(supplied=(), arguments={}, open_ended=True)
    for _, each in _bases(found.source, found.node):
        for inner in each.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                return read_signature(inner, supply=supply, method=True)
    return Signature(supplied=(), arguments={}, open_ended=_has_unread_base(found.source, found.node))


def _bases(source: Source, node: ast.ClassDef) -> Iterator[tuple[Source, ast.ClassDef]]:
    """Yield a class and those that it inherits from, as far as they are the user's."""
    waiting, met = [(source, node)], {(source.module, node.name)}
    while waiting:
        place, each = waiting.pop(0)
        yield place, each
        for base in each.bases:
            try:
                found = _find(place, ast.unparse(base))
            except NotReadable:  # of another package, such as nn.Module
                continue
            if isinstance(found.node, ast.ClassDef) and (key := (found.source.module, found.node.name)) not in met:
                met.add(key)
                waiting.append((found.source, found.node))


def _has_unread_base(source: Source, node: ast.ClassDef) -> bool:
    """Whether a class may inherit a constructor from another package; torch's modules take nothing."""
    return any(
        ast.unparse(base).rpartition(".")[2] not in ("Module", "object") for _, each in _bases(source, node)
        for base in each.bases if not _is_read(source, base)
    )  # fmt: skip


def _is_read(source: Source, base: ast.expr) -> bool:
    try:
        return isinstance(_find(source, ast.unparse(base)).node, ast.ClassDef)
    except NotReadable:
        return False


def _call(kind: str, found: _Found, batch: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the parameters that each batch fills, and those of them that stand in the arguments' own signature."""
    if kind not in CALLED_WITH:
        return (), ()
    place = f"{found.source.place}:{(found.method or found.node).lineno}"
    if isinstance(found.node, ast.ClassDef):
        parameters = _parameters_of_call(found.source, found.node, place)
    else:
        parameters = _names(found.node)
    if kind == "augmentation":
        if not parameters:
            raise NotReadable(f"{place}: an augmentation takes images [B, C, H, W] first; this takes nothing")
        chosen: tuple[str, ...] = (parameters[0][0],)
    else:
        chosen = tuple(name for name, _ in parameters if name in batch)
        if not chosen:
            raise NotReadable(
                f"{place}: a loss names what it is given of a batch: {', '.join(sorted(batch)[:6])} …; "
                f"this takes {', '.join(name for name, _ in parameters) or 'nothing'}"
            )
    if isinstance(found.node, ast.ClassDef):
        if lacking := [name for name, needed in parameters if needed and name not in chosen]:
            raise NotReadable(f"{place}: its call asks for '{lacking[0]}'{did_you_mean(lacking[0], list(batch))}")
        return chosen, ()
    return chosen, chosen


def _parameters_of_call(source: Source, node: ast.ClassDef, place: str) -> list[tuple[str, bool]]:
    for _, each in _bases(source, node):
        for inner in each.body:
            if isinstance(inner, ast.FunctionDef) and inner.name in CALLS:
                return _names(inner)[1:]
    raise NotReadable(f"{place}: class '{node.name}' has no {' and no '.join(CALLS)}")


def _names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, bool]]:
    """Return the parameters of a function, and whether each has no default."""
    positional = [*function.args.posonlyargs, *function.args.args]
    without = len(positional) - len(function.args.defaults)
    named = [(each.arg, number < without) for number, each in enumerate(positional)]
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return [*named, *((each.arg, default is None) for each, default in keywords)]
