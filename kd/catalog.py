"""What a job file may name: models, data sets, losses, optimizers, schedules, with the arguments each one takes.

The catalogue is read from the sources' syntax trees, so that a login node knows every name without importing torch. A
public function in a module's ``__all__`` *is* an entry: its keyword-only parameters are the arguments of the job file,
its docstring's first line the summary. Adding one means writing one function.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any, TypeAlias

from kd.arguments import argument_fault, normalised
from kd.errors import did_you_mean

# kind -> the package that holds its entries and the one module of it that does, or None for all of them
PLACES: Mapping[str, tuple[str, str | None]] = {
    "model": ("kd.models", None),
    "dataset": ("kd.data.sources", None),
    "loss": ("kd.losses", None),
    "optimizer": ("kd.train", "optimizers"),
    "schedule": ("kd.train", "schedules"),
    "weighting": ("kd.distill", "weighting"),
    "temperature": ("kd.distill", "temperature"),
}
REQUIRED = inspect.Parameter.empty

# where inside the arguments a fault lies (empty: in the whole of them), and what it is
ArgumentFault: TypeAlias = tuple[tuple[str | int, ...], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of an entry. ``annotation`` is its type as written, ``default`` REQUIRED when there is none."""

    annotation: str
    default: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One named thing of the catalogue. ``inputs`` are the parameters that the code supplies."""

    name: str
    module: str
    summary: str
    inputs: tuple[str, ...]
    arguments: Mapping[str, Argument]


@cache
def entries(kind: str) -> Mapping[str, Entry]:
    """Return the entries of one kind by name. Raises KeyError on an unknown kind."""
    found: dict[str, Entry] = {}
    for module, source in _sources(kind):
        for name, entry in _read_module(module, source).items():
            assert name not in found, f"{kind} '{name}' stands in {found[name].module} and in {module}"
            found[name] = entry
    return found


@cache
def find(kind: str, name: str) -> Entry | None:
    """Return one entry, or None. Parses only the module that defines it: a fraction of what ``entries`` costs."""
    for module, source in _sources(kind):
        if f"def {name}(" in source and (entry := _read_module(module, source).get(name)):
            return entry
    return None


def load(kind: str, name: str) -> Callable[..., Any]:
    """Import and return the function behind a name. Raises KeyError on an unknown name."""
    entry = find(kind, name)
    if entry is None:
        raise KeyError(name)
    function: Callable[..., Any] = getattr(import_module(entry.module), name)
    return function


def check_arguments(entry: Entry, kind: str, given: Mapping[str, Any], own: Sequence[str]) -> Iterator[ArgumentFault]:
    """Yield the faults of the arguments given to an entry. ``own`` keys stand beside them, for did-you-mean."""
    for key, value in given.items():
        if key not in entry.arguments:
            yield (key,), f"{kind} '{entry.name}' takes no '{key}'{did_you_mean(key, [*entry.arguments, *own])}"
        elif fault := argument_fault(entry.arguments[key].annotation, value):
            inside, message = fault
            yield (key, *inside), f"{key}: {message}"
    for key, argument in entry.arguments.items():
        if argument.default is REQUIRED and key not in given:
            yield (), f"{kind} '{entry.name}' needs '{key}'"


def resolve_arguments(kind: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of an entry: the (checked) given ones, and the defaults of the others."""
    entry = find(kind, name)
    assert entry is not None, f"unknown {kind} '{name}'"
    return {
        key: normalised(argument.annotation, given.get(key, argument.default))
        for key, argument in entry.arguments.items()
    }


@cache
def _sources(kind: str) -> tuple[tuple[str, str], ...]:
    """Return (module, source text) of the modules that may hold entries of a kind."""
    package, only = PLACES[kind]
    names = (
        [only]
        if only
        else sorted(
            file.name.removesuffix(".py")
            for file in files(package).iterdir()
            if file.name.endswith(".py") and not file.name.startswith("_")
        )
    )
    return tuple((f"{package}.{name}", (files(package) / f"{name}.py").read_text(encoding="utf-8")) for name in names)


@cache
def _read_module(module: str, source: str) -> Mapping[str, Entry]:
    tree = ast.parse(source)
    exported = _exported_names(tree)
    return {
        node.name: _read_function(node, module)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in exported
    }


def _exported_names(tree: ast.Module) -> frozenset[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def _read_function(node: ast.FunctionDef, module: str) -> Entry:
    arguments = {
        argument.arg: Argument(
            annotation=ast.unparse(argument.annotation) if argument.annotation else "str",
            default=REQUIRED if default is None else ast.literal_eval(default),
        )
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    inputs = tuple(argument.arg for argument in node.args.posonlyargs + node.args.args)
    return Entry(name=node.name, module=module, summary=summary, inputs=inputs, arguments=arguments)
