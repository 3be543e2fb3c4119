"""Merges the cells of several runs of one pipeline: equal jobs collapse, a contradiction is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kd.errors import RunError
from kd.report.cells import Cell
from kd.rundir.folders import JobKey
from kd.rundir.stage_spec import NOT_IN_FINGERPRINT


def merge_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return one cell per stage and seed, stages kept together in order of first appearance.

    The finished one of two equal jobs stays, else the first. Raises RunError naming both folders when two
    runs give one stage different settings, or one stage and seed different jobs or values.
    """
    merged: dict[JobKey, Cell] = {}
    first_of_stage: dict[str, Cell] = {}
    for cell in cells:
        _require_same_settings(first_of_stage.setdefault(cell.key.stage, cell), cell)
        known = merged.get(cell.key)
        merged[cell.key] = cell if known is None else _choose(known, cell)
    order = list(first_of_stage)
    return sorted(merged.values(), key=lambda cell: order.index(cell.key.stage))


def _choose(known: Cell, other: Cell) -> Cell:
    if known.fingerprint != other.fingerprint:
        raise _conflict(known, other, "is a different job in each (their fingerprints differ)")
    if known.done and other.done and _measured(known) != _measured(other):
        raise _conflict(known, other, "has a different result in each")
    return other if other.done and not known.done else known


def _measured(cell: Cell) -> object:
    return cell.result.test if cell.result else None


def _require_same_settings(first: Cell, other: Cell) -> None:
    if first.run == other.run or first.spec is None or other.spec is None:
        return
    differing = [
        *differing_settings(first.spec.data, other.spec.data, part="data", ignored=("root",)),
        *differing_settings(first.spec.settings, other.spec.settings),
    ]
    if differing:
        raise _conflict(first, other, f"is set differently in each ({', '.join(differing)})")


def _conflict(first: Cell, second: Cell, what: str) -> RunError:
    both = f"{first.folder} and {second.folder}"
    return RunError(f"{second.key.words} {what}: {both}; collect them with --side-by-side")


def differing_settings(
    first: object, second: object, *, part: str = "settings", ignored: Sequence[str] = ()
) -> list[str]:
    """Return the dotted names of what differs between two values of one part of a spec.json.

    What does not change the results, and the keys in ``ignored``, may differ.
    """
    one, two = (_without(msgspec.to_builtins(value), (*NOT_IN_FINGERPRINT, *ignored)) for value in (first, second))
    return _differences(one, two, part)


def _without(value: Any, names: Sequence[str]) -> Any:
    return {key: item for key, item in value.items() if key not in names} if isinstance(value, dict) else {}


def _differences(one: Any, two: Any, name: str) -> list[str]:
    """Return the dotted names of the leaves that differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        keys = dict.fromkeys((*one, *two))
        return [leaf for key in keys for leaf in _differences(one.get(key), two.get(key), f"{name}.{key}")]
    return [] if one == two else [name]
