"""Runs of different settings in one report, each under its own name: what sets them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from kd.report.merge import differing_settings
from kd.report.report_value import Family, Report

MOST_SHOWN = 8  # differences of two runs; the rest is counted


def with_differences(report: Report) -> Report:
    """Return runs that stand side by side, each with what its settings have otherwise than those of the first."""
    first, *_ = report.values()
    return {
        name: family if family is first else replace(family, differs=_differences(first, family))
        for name, family in report.items()
    }


def _differences(first: Family, other: Family) -> list[str]:
    """Return ``teacher.epochs: 5, was 3`` for each setting, and the stages that only one of both has."""
    found: list[str] = []
    for name, stage in other.stages.items():
        if name not in first.stages:
            found.append(f"has {name}")
            continue
        before = first.stages[name]
        for part, now, then in ((name, stage.settings, before.settings), (f"{name}.data", stage.data, before.data)):
            for key in differing_settings(then, now, part=part):
                place = key.removeprefix(f"{part}.").split(".")
                found.append(f"{key}: {_value(now, place)}, was {_value(then, place)}")
    found += [f"lacks {name}" for name in first.stages if name not in other.stages]
    return found if len(found) <= MOST_SHOWN else [*found[:MOST_SHOWN], f"and {len(found) - MOST_SHOWN} more"]


def _value(settings: Mapping[str, Any], place: list[str]) -> str:
    value: Any = settings
    for key in place:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "absent" if value is None else json.dumps(value)
