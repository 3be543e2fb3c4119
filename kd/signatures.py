"""What a function or a class can be given, read from its syntax tree in the words of ``kd.arguments``.

Functions of this project are annotated with those words. Code of others says ``Optional[int]``, ``Tuple[int, ...]`` or
nothing: what has a meaning in a job file is translated, and what only Python can give (a callable) is not offered.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from kd.arguments import alternatives, is_nothing

REQUIRED = inspect.Parameter.empty  # the default of an argument that has none
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class UNSET:
    """The default of an argument that is left to the code of others: not in the settings unless it is given."""


_ANYTHING = "Any"
_SCALARS = {"int": "int", "float": "float", "bool": "bool", "str": "str", "Any": _ANYTHING, "object": _ANYTHING}
_SCALARS |= dict.fromkeys(("dict", "Dict", "Mapping"), _ANYTHING)
_SEQUENCES = ("list", "tuple", "List", "Tuple", "Sequence", "Iterable")


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of an entry. ``annotation`` is its type as written, ``default`` REQUIRED when there is none."""

    annotation: str
    default: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """What foreign code takes by name. ``supplied`` are the parameters among it that the caller knows how to fill.

    ``further`` are the names beside ``arguments`` that a job file cannot give; with ``open_ended`` any other name may
    be given too (``**kwargs``).
    """

    supplied: tuple[str, ...]
    arguments: Mapping[str, Argument]
    further: tuple[str, ...] = ()
    open_ended: bool = False


def read_signature(function: Function, *, supply: Collection[str], method: bool = False) -> Signature:
    """Return what a function takes; of a ``method`` without its first parameter.

    ``supply`` are the names of what the caller can fill in. A parameter without a translatable annotation takes what
    its default is like, or anything.
    """
    parameters = _parameters(function)[1 if method else 0 :]
    words = {
        parameter.arg: _words_of(parameter, default) for parameter, default in parameters if parameter.arg not in supply
    }
    required = {parameter.arg for parameter, default in parameters if default is None}
    return Signature(
        supplied=tuple(parameter.arg for parameter, _ in parameters if parameter.arg in supply),
        arguments={
            name: Argument(annotation=annotation, default=REQUIRED if name in required else UNSET)
            for name, annotation in words.items()
            if annotation is not None
        },
        further=tuple(name for name, annotation in words.items() if annotation is None),
        open_ended=function.args.kwarg is not None,
    )


def _parameters(function: Function) -> list[tuple[ast.arg, ast.expr | None]]:
    """Return all parameters that have a name, each with its default."""
    positional = [*function.args.posonlyargs, *function.args.args]
    defaults = [None] * (len(positional) - len(function.args.defaults)) + list(function.args.defaults)
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return [*zip(positional, defaults, strict=True), *keywords]


def _words_of(parameter: ast.arg, default: ast.expr | None) -> str | None:
    if parameter.annotation is None:
        return _words_of_default(default)
    return translated(parameter.annotation)


def _words_of_default(default: ast.expr | None) -> str:
    """Return what an argument takes whose default is of this kind; None and what is computed say nothing."""
    try:
        value = None if default is None else ast.literal_eval(default)
    except ValueError:
        return _ANYTHING
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int | float"  # written 1, 0.5 may be meant; what is given as 2 stays 2
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    return "list[Any]" if isinstance(value, (list, tuple)) else _ANYTHING


def translated(annotation: ast.expr) -> str | None:
    """Return an annotation in the words of ``kd.arguments``, or None where no value of a job file fits it."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return translated(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return _ANYTHING
    words = list(dict.fromkeys(filter(None, map(_one_translated, _members(annotation)))))
    if words == ["None"] or not words:
        return None
    return _ANYTHING if _ANYTHING in words else " | ".join(words)


def _members(annotation: ast.expr) -> Iterator[ast.expr]:
    """Yield the members of a union in either spelling."""
    for choice in alternatives(annotation):
        generic = _generic_name(choice)
        if generic in ("Optional", "Union") and isinstance(choice, ast.Subscript):
            inside = choice.slice
            for member in inside.elts if isinstance(inside, ast.Tuple) else [inside]:
                yield from _members(member)
            if generic == "Optional":
                yield ast.Constant(None)
        else:
            yield choice


def _one_translated(annotation: ast.expr) -> str | None:
    if is_nothing(annotation):
        return "None"
    name = ast.unparse(annotation).rpartition(".")[2] if isinstance(annotation, (ast.Name, ast.Attribute)) else None
    if name is not None:
        return "list[Any]" if name in _SEQUENCES else _SCALARS.get(name)
    generic = _generic_name(annotation)
    if not isinstance(annotation, ast.Subscript):
        return None
    if generic == "Literal":
        return f"Literal[{ast.unparse(annotation.slice)}]"
    if generic in ("dict", "Dict", "Mapping"):
        return _ANYTHING
    if generic in _SEQUENCES:
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        kinds = list(dict.fromkeys(translated(each) for each in inside if not _is_dots(each)))
        return None if None in kinds else f"list[{' | '.join(filter(None, kinds))}]"
    return None


def _generic_name(annotation: ast.expr) -> str | None:
    if not isinstance(annotation, ast.Subscript):
        return None
    return ast.unparse(annotation.value).rpartition(".")[2]


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
