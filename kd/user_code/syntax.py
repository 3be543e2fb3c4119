"""What a syntax tree defines and imports, wherever at its top level: within ``if`` and ``try`` too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from kd.user_code.sources import Source, tree_of

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree: ast.Module) -> Mapping[str, Definition]:
    """Return the functions and classes at the top level, by name; of two of one name the last."""
    return {
        node.name: node
        for node in _top_level(tree.body)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }


def brought_names(source: Source) -> Iterator[tuple[str, str, str]]:
    """Yield (name here, module, name there) of what the top level imports from other modules; ``*`` for all of it."""
    for node in _top_level(tree_of(source).body):
        if isinstance(node, ast.ImportFrom):
            module = whole_module(source, node)
            yield from ((alias.asname or alias.name, module, alias.name) for alias in node.names)


def import_targets(source: Source) -> Iterator[str]:
    """Yield the modules that a module may import, relative ones by their whole names."""
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = whole_module(source, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def whole_module(source: Source, node: ast.ImportFrom) -> str:
    """Return the whole name of the module that a statement imports from."""
    if not node.level:
        return node.module or ""
    package = (source.module if source.is_package else source.module.rpartition(".")[0]).split(".")
    parents = package[: len(package) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _top_level([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            yield from _top_level([*node.body, *handled, *node.orelse, *node.finalbody])
