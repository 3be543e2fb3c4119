"""Words for the arguments that a job file may give to a catalogued function, with the range each one allows.

A public function of the catalogue takes what the code supplies as positional parameters and what a job file may set as
keyword-only parameters, annotated with these names, ``bool``, ``str``, ``int``, ``float``, ``Literal[...]``,
``list[...]``, ``dict[str, ...]``, ``Any`` or a union of them with ``|``. The annotations are read as text, so that
names and ranges are known without importing torch.
"""

from __future__ import annotations

import ast
import math
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from kd.errors import shown

PositiveInt: TypeAlias = int
NonNegativeInt: TypeAlias = int
PositiveFloat: TypeAlias = float
NonNegativeFloat: TypeAlias = float
Fraction: TypeAlias = float


class Range(NamedTuple):
    """Which numbers an annotation allows; a bound of None is none."""

    whole: bool
    at_least: int | None = None
    above: int | None = None
    at_most: int | None = None


RANGES: dict[str, Range] = {
    "int": Range(whole=True),
    "float": Range(whole=False),
    "PositiveInt": Range(whole=True, at_least=1),
    "NonNegativeInt": Range(whole=True, at_least=0),
    "PositiveFloat": Range(whole=False, above=0),
    "NonNegativeFloat": Range(whole=False, at_least=0),
    "Fraction": Range(whole=False, at_least=0, at_most=1),
}
_PLAIN = {"bool": "true or false", "str": "text"}
_ANYTHING = "Any"  # of code whose arguments say nothing of their types


@cache
def parse_annotation(annotation: str) -> ast.expr:
    """Return the syntax tree of an annotation."""
    return ast.parse(annotation, mode="eval").body


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union ``A | B``; any other annotation is its own only member."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*alternatives(node.left), *alternatives(node.right)]
    return [node]


def is_nothing(node: ast.expr) -> bool:
    """Whether an annotation is ``None``."""
    return isinstance(node, ast.Constant) and node.value is None


def literal_values(node: ast.expr) -> list[Any] | None:
    """Return the values of ``Literal["a", "b"]``, or None for another annotation."""
    if not _is_generic(node, "Literal"):
        return None
    values = ast.literal_eval(node.slice)  # type: ignore[attr-defined]  # _is_generic: a Subscript
    return list(values) if isinstance(values, tuple) else [values]


def element_of(node: ast.expr) -> ast.expr | None:
    """Return the annotation of the elements of ``list[...]``, or None for another annotation."""
    return node.slice if _is_generic(node, "list") else None  # type: ignore[attr-defined]


def value_of(node: ast.expr) -> ast.expr | None:
    """Return the annotation of the values of ``dict[str, ...]``, or None for another annotation."""
    if not _is_generic(node, "dict"):
        return None
    assert isinstance(node, ast.Subscript)
    assert isinstance(node.slice, ast.Tuple)
    return node.slice.elts[1]


def argument_fault(annotation: str, value: Any) -> tuple[tuple[int, ...], str] | None:
    """Return where inside ``value`` it does not fit the annotation, and why; None when it fits."""
    node = parse_annotation(annotation)
    element = element_of(node)
    if element is not None and isinstance(value, list):
        for index, item in enumerate(value):
            if not _fits(element, item):
                return (index,), f"expected {_described(element)}, got {shown(item)}"
        return None
    if _fits(node, value):
        return None
    return (), f"expected {_described(node)}, got {shown(value)}"


def normalised(annotation: str, value: Any) -> Any:
    """Return a fitting value in the one form that means it: ``4`` becomes ``4.0`` where a real number is taken."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    names = {choice.id for choice in alternatives(parse_annotation(annotation)) if isinstance(choice, ast.Name)}
    ranges = [RANGES[name] for name in names if name in RANGES]
    return float(value) if ranges and not any(allowed.whole for allowed in ranges) else value


def _is_generic(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name


def _fits(node: ast.expr, value: Any) -> bool:
    if len(choices := alternatives(node)) > 1:
        return any(_fits(choice, value) for choice in choices)
    if is_nothing(node):
        return value is None
    if (values := literal_values(node)) is not None:
        return any(type(value) is type(allowed) and value == allowed for allowed in values)
    if (element := element_of(node)) is not None:
        return isinstance(value, list) and all(_fits(element, item) for item in value)
    if (inside := value_of(node)) is not None:
        return isinstance(value, dict) and all(isinstance(key, str) and _fits(inside, value[key]) for key in value)
    name = _name(node)
    if name in RANGES:
        return _in_range(RANGES[name], value)
    if name == _ANYTHING:
        return True
    return isinstance(value, bool if name == "bool" else str)


def _in_range(allowed: Range, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if allowed.whole else (int, float)):
        return False
    return (
        (isinstance(value, int) or math.isfinite(value))
        and (allowed.at_least is None or value >= allowed.at_least)
        and (allowed.above is None or value > allowed.above)
        and (allowed.at_most is None or value <= allowed.at_most)
    )


def described(annotation: str) -> str:
    """Return what an annotation allows, in words."""
    return _described(parse_annotation(annotation))


def _described(node: ast.expr) -> str:
    if len(choices := alternatives(node)) > 1:
        return " or ".join(_described(choice) for choice in choices)
    if is_nothing(node):
        return "null"
    if (values := literal_values(node)) is not None:
        return " or ".join(map(repr, values))
    if (element := element_of(node)) is not None:
        return f"a list (each: {_described(element)})"
    if (inside := value_of(node)) is not None:
        return f"a mapping (each value: {_described(inside)})"
    name = _name(node)
    return _range_described(RANGES[name]) if name in RANGES else _PLAIN.get(name, "any value")


def _range_described(allowed: Range) -> str:
    kind = "a whole number" if allowed.whole else "a number"
    if allowed.at_most is not None:
        return f"{kind} from {allowed.at_least} to {allowed.at_most}"
    if allowed.above is not None:
        return f"{kind} above {allowed.above}"
    return kind if allowed.at_least is None else f"{kind} of at least {allowed.at_least}"


def _name(node: ast.expr) -> str:
    name = ast.unparse(node)
    assert name in RANGES or name in _PLAIN or name == _ANYTHING, (
        f"no rule for the annotation {name!r}: use the names of kd.arguments"
    )
    return name
