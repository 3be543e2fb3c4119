"""What the user's code *is*, for fingerprints: the syntax of a module and of what it imports of the user's.

Comments, docstrings and layout do not count. Of an installed package the version counts too. Modules count that lie in
the same top package, in the same folder or in ``code:``; other packages are the environment's.
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

from kd.library_networks import installed_version
from kd.user_code.definitions import UserEntry
from kd.user_code.sources import Source, bound, read_source, tree_of
from kd.user_code.syntax import import_targets


def source_identity(entry: UserEntry) -> str:
    """Return what the code of an entry is. Raises NotReadable when a module that it imports is no Python."""
    top, digest = entry.module.partition(".")[0], hashlib.sha256()
    for source in with_imports([_named(entry)]):
        digest.update(f"{source.module} {_plain(source)}\n".encode())
    version = None if entry.module in bound() else installed_version(top)
    return f"{top} {version or 'of a folder'} {digest.hexdigest()[:32]}"


def with_imports(sources: list[Source]) -> list[Source]:
    """Return modules and all of the user's that they import, directly or not, sorted by name."""
    waiting, met = list(sources), {source.module: source for source in sources}
    while waiting:
        source = waiting.pop()
        for target in import_targets(source):
            if target not in met and (found := _own(target, source)):
                met[target] = found
                waiting.append(found)
    return [met[module] for module in sorted(met)]


def _named(entry: UserEntry) -> Source:
    source = read_source(entry.module)
    assert source is not None, f"{entry.module} was read"
    return source


def _own(module: str, source: Source) -> Source | None:
    """Return a module that is the user's as this source is: bound, of the same top package, or beside it."""
    top = module.partition(".")[0]
    if module in bound():
        return bound()[module]
    if source.module in bound():
        return None  # what it imports of the user's is bound too
    beside = Path(source.place).parent / f"{top}.py"
    return read_source(module) if top == source.module.partition(".")[0] or beside.is_file() else None


@lru_cache(maxsize=1024)
def _plain(source: Source) -> str:
    """Return a module's syntax without docstrings, which change nothing that it computes."""
    copy = ast.parse(ast.unparse(tree_of(source)))
    for node in ast.walk(copy):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(copy)
