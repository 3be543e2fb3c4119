"""What a job file may name: models, data sets, losses, optimizers, schedules, with the arguments each one takes.

The catalogue is read from the sources' syntax trees, so that a login node knows every name without importing torch. A
public function in a module's ``__all__`` *is* an entry: its keyword-only parameters are the arguments of the job file,
its docstring's first line the summary. Adding one means writing one function.

Models of timm and torchvision are entries too, under names such as ``timm/resnet18`` (see ``kd.library_networks``), and
so are models, losses, data sets and augmentations of the user's own, ``mypackage.nets:MyNet`` (``kd.user_entries``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.resources import files
from typing import Any, TypeAlias

from kd.arguments import argument_fault, normalised
from kd.entry import Entry
from kd.errors import did_you_mean
from kd.library_networks import (
    LIBRARIES,
    SEPARATOR,
    find_network,
    installed_version,
    library_of,
    names,
    source_identity,
    split_name,
)
from kd.signatures import REQUIRED, UNSET, Argument
from kd.user_code.names import listed_names
from kd.user_entries import CALLERS, find_user_entry, why_unreadable

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
# Arguments that every entry of a kind takes, beside its own. They are not in the settings unless they are given.
SHARED: Mapping[str, Mapping[str, Argument]] = {
    "model": {
        "taps": Argument(annotation="dict[str, str]", default=UNSET),
        "normalisation": Argument(annotation="Literal['data', 'imagenet', 'half', 'own']", default=UNSET),
    },
}
_LIBRARY_MODULE = "kd.models.library"

# where inside the arguments a fault lies (empty: in the whole of them), and what it is
ArgumentFault: TypeAlias = tuple[tuple[str | int, ...], str]


@cache
def entries(kind: str) -> Mapping[str, Entry]:
    """Return the entries of one kind by name. Raises KeyError on an unknown kind."""
    found: dict[str, Entry] = {}
    for module, source in _sources(kind):
        for name, entry in _read_module(module, source).items():
            assert name not in found, f"{kind} '{name}' stands in {found[name].module} and in {module}"
            found[name] = entry
    return found


def find(kind: str, name: str) -> Entry | None:
    """Return one entry, or None. Parses only the module that defines it: a fraction of what ``entries`` costs."""
    return _find(kind, name) or find_user_entry(kind, name)


@cache
def _find(kind: str, name: str) -> Entry | None:
    if kind == "model" and (parts := split_name(name)):
        return _library_entry(*parts)
    for module, source in _sources(kind):
        if f"def {name}(" in source and (entry := _read_module(module, source).get(name)):
            return entry
    return None


def load(kind: str, name: str) -> Callable[..., Any]:
    """Import and return the function behind a name. Raises KeyError on an unknown name."""
    entry = find(kind, name)
    if entry is None:
        raise KeyError(name)
    function: Callable[..., Any] = getattr(import_module(entry.module), entry.function)
    return partial(function, **entry.bound) if entry.bound else function


def unknown(kind: str, name: str) -> str:
    """Return why there is no entry of this name, with the nearest one, to end an error line."""
    if kind == "model" and (parts := split_name(name)):
        return _unknown_network(*parts)
    if reason := why_unreadable(kind, name):
        return reason
    if kind == "model" and (library := library_of(name)):
        return f"unknown model '{name}' (did you mean '{library}{SEPARATOR}{name}'?)"
    own = listed_names() if kind in CALLERS else []
    return f"unknown {kind} '{name}'{did_you_mean(name, [*entries(kind), *own])}"


def check_arguments(
    entry: Entry, kind: str, given: Mapping[str, object], own: Sequence[str]
) -> Iterator[ArgumentFault]:
    """Yield the faults of the arguments given to an entry. ``own`` keys stand beside them, for did-you-mean."""
    known = {**entry.arguments, **SHARED.get(kind, {})}
    for key, value in given.items():
        if key not in known and entry.identity and key in entry.inputs:
            yield (key,), f"'{key}' of {kind} '{entry.name}' is given by the job; remove it"
        elif key not in known and entry.open_ended:
            continue
        elif key not in known:
            yield (key,), f"{kind} '{entry.name}' takes no '{key}'{did_you_mean(key, [*known, *own])}"
        elif fault := argument_fault(known[key].annotation, value):
            inside, message = fault
            yield (key, *inside), f"{key}: {message}"
    for key, argument in entry.arguments.items():
        if argument.default is REQUIRED and key not in given:
            yield (), f"{kind} '{entry.name}' needs '{key}'"


def resolve_arguments(kind: str, name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """Return all arguments of an entry: the (checked) given ones, and the defaults of the others.

    Defaults of code that is not this project's stay with it.
    """
    entry = find(kind, name)
    assert entry is not None, f"unknown {kind} '{name}'"
    known = {**entry.arguments, **SHARED.get(kind, {})}
    resolved = {
        key: normalised(argument.annotation, given.get(key, argument.default))
        for key, argument in known.items()
        if key in given or argument.default is not UNSET
    }
    return resolved | {key: value for key, value in given.items() if key not in known}


def _library_entry(library: str, network: str) -> Entry | None:
    """Return the entry of a network of timm or torchvision: arguments of the function here and of its own class."""
    found = find_network(library, network)
    if found is None:
        return None
    function = LIBRARIES[library].function
    whole, bound = _library_functions()[function], {"network": network}
    arguments = {**found.signature.arguments, **whole.arguments}
    return Entry(
        name=f"{library}{SEPARATOR}{network}",
        module=_LIBRARY_MODULE,
        summary=found.summary,
        inputs=whole.inputs,
        arguments={name: argument for name, argument in arguments.items() if name not in bound},
        open_ended=found.signature.open_ended,
        identity=source_identity(found),
        function=function,
        bound=bound,
    )


@cache
def _library_functions() -> Mapping[str, Entry]:
    """Return what the functions take that build networks of libraries; they are no entries themselves."""
    package, _, module = _LIBRARY_MODULE.rpartition(".")
    tree = ast.parse((files(package) / f"{module}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: _read_function(node, _LIBRARY_MODULE) for node in functions if not node.name.startswith("_")}


def _unknown_network(library: str, network: str) -> str:
    if installed_version(library) is None:
        return f"{library} is not installed here, so there is no '{library}{SEPARATOR}{network}'"
    name, _, tag = network.partition(".")
    if tag and name in names(library):
        return f"{library} has no weights '{tag}' of '{name}'; without a tag the default ones are meant"
    return f"{library} has no network '{network}'{did_you_mean(name, names(library))}"


@cache
def _sources(kind: str) -> tuple[tuple[str, str], ...]:
    """Return (module, source text) of the modules that may hold entries of a kind; kd has no augmentation by name."""
    if kind == "augmentation":
        return ()
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
    text = ast.get_docstring(node) or ""
    return Entry(
        name=node.name,
        module=module,
        summary=text.partition("\n")[0],
        text=text,
        inputs=tuple(argument.arg for argument in node.args.posonlyargs + node.args.args),
        arguments=arguments,
        function=node.name,
    )
