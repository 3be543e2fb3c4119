"""Models of the user's own: ``mypackage.nets:MyNet``, a function or a class of a module that Python finds.

The module is read as a syntax tree, for its names and arguments and for fingerprints; a login node never imports it.
What a job supplies (``num_classes``, ``in_channels``, ``image_size``) is given to whoever takes it; every other
parameter is an argument of the job file, and a default stays with the code.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from kd.errors import did_you_mean
from kd.library_networks import installed_version
from kd.signatures import Signature, read_signature

SEPARATOR = ":"
Definition: TypeAlias = ast.FunctionDef | ast.ClassDef
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
SUPPLIED = ("num_classes", "in_channels", "image_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class UserModel:
    """One function or class of the user's."""

    module: str
    name: str
    file: Path
    summary: str
    signature: Signature


# Names that the job file or the run folder of this process gives. A file of weights names its model too, and may be
# anybody's: no module is imported because such a file says so.
_named: set[str] = set()


class NotReadable(Exception):
    """Why a name leads to no function and no class, to end an error line."""


def split_name(name: str) -> tuple[str, str] | None:
    """Return module and attribute of a name such as ``mypackage.nets:MyNet``, or None for any other name."""
    module, separator, attribute = name.partition(SEPARATOR)
    return (module, attribute) if separator else None


def read_model(module: str, attribute: str) -> UserModel:
    """Return what is known of a model without importing it.

    Raises NotReadable when there is no such module, no such function or class in it, or it is no Python.
    """
    file = module_file(module)
    if file is None:
        raise NotReadable(f"there is no module '{module}'; install its package, or put its folder into PYTHONPATH")
    definitions = {node.name: node for node in _tree(file).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found = definitions.get(attribute)
    if found is None:
        raise NotReadable(
            f"{file} has no function and no class '{attribute}'{did_you_mean(attribute, list(definitions))}"
        )
    summary = (ast.get_docstring(found) or "").strip().partition("\n")[0]
    signature = _signature(found, definitions)
    return UserModel(module=module, name=attribute, file=file, summary=summary, signature=signature)


def allow(name: str) -> None:
    """Let this process import the model of this name."""
    _named.add(name)


def is_allowed(name: str) -> bool:
    """Whether a model of this name may be built: it is none of the user's, or was allowed."""
    return split_name(name) is None or name in _named


def module_file(module: str) -> Path | None:
    """Return the source file of a module, found as an import would find it, with nothing imported."""
    top, *rest = module.split(".")
    if not all(part.isidentifier() for part in (top, *rest)):
        return None
    try:
        found = find_spec(top)
    except ValueError:  # a module without a spec, such as __main__
        return None
    if found is None or found.origin is None:
        return None
    if not rest:
        return Path(found.origin) if found.origin.endswith(".py") else None
    for folder in found.submodule_search_locations or ():
        inside = Path(folder).joinpath(*rest)
        for file in (inside.with_suffix(".py"), inside / "__init__.py"):
            if file.is_file():
                return file
    return None


def source_identity(model: UserModel) -> str:
    """Return what a model's code *is*, for fingerprints: the syntax of its module and of what that imports beside it.

    Comments, docstrings and layout do not count. Of an installed package the version counts too. Modules count that
    lie in the model's own top package or folder; other packages are the environment's.
    """
    top = model.module.partition(".")[0]
    digest = hashlib.sha256()
    for module, file in sorted(_imported(model.module, model.file, top)):
        digest.update(f"{module} {_plain(_tree(file))}\n".encode())
    return f"{top} {installed_version(top) or 'of a folder'} {digest.hexdigest()[:32]}"


def _imported(module: str, file: Path, top: str) -> set[tuple[str, Path]]:
    """Return (module, file) of a module and of everything of the user's that it imports, directly or not."""
    waiting, met = [(module, file)], {(module, file)}
    while waiting:
        name, source = waiting.pop()
        for target in _import_targets(name, source):
            if (found := _own_file(target, source.parent, top)) and (target, found) not in met:
                met.add((target, found))
                waiting.append((target, found))
    return met


def _own_file(module: str, folder: Path, top: str) -> Path | None:
    """Return the file of a module of the same top package, or of one that lies beside in the same folder."""
    beside = folder / f"{module.partition('.')[0]}.py"
    if module.partition(".")[0] == top or beside.is_file():
        return module_file(module)
    return None


def _import_targets(module: str, file: Path) -> Iterator[str]:
    """Yield the modules that a file may import, relative ones by their whole names."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _plain(tree: ast.Module) -> str:
    """Return a module's syntax without docstrings, which change nothing that it computes."""
    copy = ast.parse(ast.unparse(tree))
    for node in ast.walk(copy):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(copy)


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise NotReadable(f"{file}:{error.lineno}: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadable(f"{file}: cannot be read ({type(error).__name__})") from None


def _signature(
    found: ast.FunctionDef | ast.ClassDef, definitions: dict[str, ast.FunctionDef | ast.ClassDef]
) -> Signature:
    if isinstance(found, ast.FunctionDef):
        return read_signature(found, supply=SUPPLIED)
    bases: Sequence[ast.expr] = found.bases
    constructor = next(
        (node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None
    )
    if constructor is not None:
        return read_signature(constructor, supply=SUPPLIED, method=True)
    for base in bases:  # an inherited constructor, where it stands in the same file
        inherited = definitions.get(ast.unparse(base))
        if isinstance(inherited, ast.ClassDef) and inherited is not found:
            return _signature(inherited, definitions)
    return Signature(supplied=(), arguments={}, open_ended=True)
