"""Which models of the catalogue declare feature taps, read from their sources, without importing torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from kd import catalog
from kd.jobfile.schema import Component
from kd.user_code.identity import with_imports
from kd.user_code.sources import read_source, tree_of

# the attributes of a model that kd.distill.features reads
DECLARATION, PREACTIVATIONS = "feature_taps", "preactivation_taps"
_PACKAGE = "kd.models"


def declares_taps(model: Component, declaration: str = DECLARATION) -> bool:
    """Whether a model is given taps, or its module, or one that this imports from, sets the declaration.

    True of a model that the catalogue does not know: that is another fault.
    """
    given = declaration == DECLARATION and "taps" in model.arguments
    return given or _users_taps(model.name, declaration) or _declares_taps(model.name, declaration)


def _users_taps(name: str, declaration: str) -> bool:
    """Whether the module of a model of the user's sets the declaration."""
    entry = catalog.find("model", name)
    if entry is None or entry.identity is None or "module" not in entry.bound:
        return False
    source = read_source(str(entry.bound["module"]))
    assert source is not None, f"{name} was read"
    return any(sets_taps(tree_of(each), declaration) for each in with_imports([source]))


@cache
def _declares_taps(name: str, declaration: str) -> bool:
    entry = catalog.find("model", name)
    return entry is None or any(sets_taps(tree, declaration) for tree in _trees(entry.module))


def sets_taps(tree: ast.AST, declaration: str = DECLARATION) -> bool:
    """Whether a syntax tree gives a class or an object the attribute; to annotate it alone does not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        if any(declaration in (getattr(target, "id", None), getattr(target, "attr", None)) for target in targets):
            return True
    return False


def _trees(module: str) -> Iterator[ast.Module]:
    """Yield the syntax trees of a module of the models' package and of those it imports from, each once."""
    waiting, met = [module], {module}
    while waiting:
        name = waiting.pop().removeprefix(f"{_PACKAGE}.")
        tree = ast.parse((files(_PACKAGE) / f"{name}.py").read_text(encoding="utf-8"))
        yield tree
        sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        new = {source for source in sources if source.startswith(f"{_PACKAGE}.")} - met
        waiting += sorted(new)
        met |= new
