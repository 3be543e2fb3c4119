"""Imports the user's code, in a job or where a person allowed it; what it raises becomes one line with its place."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

from kd.errors import CheckpointError, SpecError, UserError
from kd.user_code.names import SEPARATOR, is_allowed
from kd.user_code.sources import NotReadable, Source, bound, read_source, when_bound

_imported: dict[str, Source] = {}  # of the bound modules, those that this process has imported


def import_entry(module: str, attribute: str) -> Callable[..., Any]:
    """Import and return a function, a class or a class method of the user's.

    Raises CheckpointError when nobody allowed it, SpecError, with the line of the user's file, when it cannot be
    imported.
    """
    name = f"{module}{SEPARATOR}{attribute}"
    if not is_allowed(name):
        raise CheckpointError(f"{name}: code is imported only where a job file or a person names it")
    with users_errors(name, module):
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    if not callable(found):
        raise SpecError([f"{_place_of(module)}: {name} cannot be called"])
    function: Callable[..., Any] = found
    return function


@contextmanager
def users_errors(name: str, module: str) -> Iterator[None]:
    """Turn whatever the user's code raises into a SpecError of one line: file, line, name, and what it said."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises is the user's
        message = " ".join(str(error).split())
        place = _line_of(error, module)
        raise SpecError([f"{place}: {name}: {type(error).__name__}: {message:.200}".removesuffix(": ")]) from error


def _line_of(error: Exception, module: str) -> str:
    """Return file and line of the user's code where an error arose, or the module's file."""
    files = {source.place for source in bound().values()} | {_place_of(module)}
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else _place_of(module)


def _place_of(module: str) -> str:
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded:
        return str(loaded)
    try:
        source = read_source(module)
    except NotReadable:
        source = None
    return source.place if source else module


class _Loader(ExecutionLoader):
    """Runs the text of a bound module: what was frozen is what is imported."""

    def get_source(self, fullname: str) -> str:
        return bound()[fullname].text.decode()

    def get_filename(self, fullname: str) -> str:
        return bound()[fullname].place

    def is_package(self, fullname: str) -> bool:
        return bound()[fullname].is_package

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        _imported[name] = bound()[name]
        code = compile(bound()[name].text, bound()[name].place, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # the import of a module is the running of it


class _Finder(MetaPathFinder):
    """Finds the bound modules before any installed one."""

    serves_bound = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in bound():
            return None
        place = bound()[fullname].place
        return spec_from_loader(fullname, _Loader(), origin=place, is_package=bound()[fullname].is_package)


def _forget_others() -> None:
    """Forget imported modules that the new binding has not, or has in another form."""
    for name, source in list(_imported.items()):
        if bound().get(name) != source:
            del _imported[name]
            sys.modules.pop(name, None)


sys.meta_path.insert(0, _Finder())
when_bound(_forget_others)
