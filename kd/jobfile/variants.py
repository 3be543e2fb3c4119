"""The variants of a stage: what ``variants`` and ``grid`` lay over it, and the name of each combination.

    distilled:
      kind: distill
      variants: {plain: null, flipped: {augment.flip: true}}       # distilled.plain, distilled.flipped
    swept:
      kind: distill
      grid:
        loss: {kd: {ce: 0.1, kd: 0.9}, dkd: {ce: 1, dkd: 1}}        # named values
        loss.*.temperature: [1, 4]                                  # swept.kd.temperature-1, swept.kd.temperature-4 ...

A plain key replaces a stage's whole value; a key with dots changes one value inside it; null takes a key away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

from kd.errors import SpecError, shown
from kd.jobfile.source import Address, Document

MOST_VARIANTS = 1000  # of one stage
A_STAGE_NAME = "a name of letters, digits, '_' and '-', starting with a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VALUE = re.compile(r"[A-Za-z0-9_.-]+")  # a grid's value as a part of a stage's name
Keys: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Layer:
    """Keys that are laid over a stage, and where each of them stands in the document."""

    keys: Keys
    addresses: Mapping[str, Address]

    @classmethod
    def at(cls, keys: Keys, address: Address, leave: Sequence[str] = ()) -> Layer:
        """Return the keys of a mapping that stands at ``address``, without some of them."""
        kept = {key: value for key, value in keys.items() if key not in leave}
        return cls(kept, {key: (*address, key) for key in kept})


Axis: TypeAlias = list[tuple[str, Layer]]  # parts of stage names, each with what it changes


def fault(document: Document, address: Address, message: str) -> SpecError:
    """Return the error for one thing that is wrong at an address of the document."""
    return SpecError([document.line(address, message)])


def variants_of(document: Document, name: str, stage: Keys) -> Iterator[tuple[str, list[Layer]]]:
    """Yield (stage name, its layers): the stage itself, or each of its variants and combinations of its grid.

    Raises SpecError when these are wrong or too many.
    """
    own = Layer.at(stage, ("stages", name), leave=("variants", "grid"))
    axes = [*_variant_axis(document, name, stage), *_grid_axes(document, name, stage)]
    if (count := prod(map(len, axes))) > MOST_VARIANTS:
        message = f"{count:,} variants of one stage; {MOST_VARIANTS:,} are allowed"
        raise fault(document, ("stages", name, "grid"), message)
    for chosen in product(*axes):
        yield ".".join([name, *(part for part, _ in chosen)]), [own, *(layer for _, layer in chosen)]


def require_name(document: Document, name: str, address: Address) -> None:
    """Raise SpecError unless a stage or variant is well named; a dot would part a stage from its variant."""
    if not _NAME.fullmatch(name):
        raise fault(document, address, f"{name}: expected {A_STAGE_NAME}, got {shown(name)}")


def _variant_axis(document: Document, name: str, stage: Keys) -> list[Axis]:
    if "variants" not in stage:
        return []
    address, variants = ("stages", name, "variants"), stage["variants"]
    if not isinstance(variants, dict) or not variants:
        raise fault(document, address, "variants: expected names, each with what it changes of the stage")
    axis: Axis = []
    for variant, changes in variants.items():
        require_name(document, variant, (*address, variant))
        if not isinstance(changes, (dict, type(None))):
            message = f"{variant}: expected what this variant changes of the stage, got {shown(changes)}"
            raise fault(document, (*address, variant), message)
        if "kind" in (changes or {}):
            raise fault(document, (*address, variant, "kind"), "a variant has the kind of its stage")
        axis.append((variant, Layer.at(changes or {}, (*address, variant))))
    return [axis]


def _grid_axes(document: Document, name: str, stage: Keys) -> list[Axis]:
    if "grid" not in stage:
        return []
    address, grid = ("stages", name, "grid"), stage["grid"]
    if not isinstance(grid, dict) or not grid:
        raise fault(document, address, "grid: expected keys, each with a list of values or with named values")
    return [_grid_axis(document, key, values, (*address, key)) for key, values in grid.items()]


def _grid_axis(document: Document, key: str, values: Any, address: Address) -> Axis:
    """Return the values of one key of a grid: a mapping of names to values, or a list, named by key and value."""
    if isinstance(values, dict) and values:
        for part in values:
            require_name(document, part, (*address, part))
        return [(part, Layer({key: value}, {key: (*address, part)})) for part, value in values.items()]
    if not isinstance(values, list) or not values:
        raise fault(document, address, f"{key}: expected a list of values, or names with a value each")
    axis: Axis = []
    for index, value in enumerate(values):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(value, (dict, list, type(None))) or not _VALUE.fullmatch(text):
            message = f"{key}: {shown(value)} gives a stage no name; write names with a value each instead of a list"
            raise fault(document, (*address, index), message)
        part = text if isinstance(value, str) else f"{key.rpartition('.')[2]}-{text}"
        axis.append((part, Layer({key: value}, {key: (*address, index)})))
    return axis
