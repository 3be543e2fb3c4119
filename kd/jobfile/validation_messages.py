"""Pydantic's validation errors as messages: one line a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd.errors import did_you_mean, nearest, shown
from kd.jobfile.schema import NAME_PATTERN, STAGE_NAME_PATTERN
from kd.jobfile.source import Address

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} entry",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "string_too_long": "at most {max_length} characters",
}
_PATTERNS = {
    NAME_PATTERN: "a name of letters, digits, '_', '-' and '.', starting with a letter or digit",
    STAGE_NAME_PATTERN: "a name of letters, digits, '_' and '-', starting with a letter or digit",
}
_OF_A_CLUSTER = ("account", "constraint", "gres", "modules", "nodelist", "partition", "qos", "venv")


def fault_of(detail: Any, address: Address, known: Sequence[str]) -> tuple[Address, str]:
    """Return where one pydantic error lies and what it means; ``known`` are the keys allowed there."""
    kind, given = detail["type"], detail.get("input")
    context = {name: _plain(value) for name, value in detail.get("ctx", {}).items()}
    key = str(address[-1]) if address else "the file"
    if kind == "extra_forbidden" and key in _OF_A_CLUSTER and key not in known:
        return address, f"unknown key {shown(key)}: what holds for one cluster belongs in its profile"
    if kind == "extra_forbidden":
        return address, f"unknown key {shown(key)}{did_you_mean(key, known)}"
    if kind == "missing":
        return _missing(key, given, address[:-1], known)
    label = _label(address)
    if kind == "value_error":
        return address, f"{label}: {context['error']}"
    if kind == "string_pattern_mismatch":
        return address, f"{label}: expected {_PATTERNS.get(context['pattern'], 'text on one line')}, got {shown(given)}"
    expected = _EXPECTED.get(kind, detail["msg"].removeprefix("Input should be ").replace("{", "{{").replace("}", "}}"))
    return address, f"{label}: expected {expected.format(**context)}, got {shown(given)}"


def _missing(key: str, given: Any, address: Address, known: Sequence[str]) -> tuple[Address, str]:
    """Return the fault of a missing key: the misspelt key beside it, if there is one, else its absence."""
    strangers = [other for other in given if other not in known] if isinstance(given, dict) else []
    misspelt = nearest(key, strangers)
    if misspelt and nearest(misspelt, known) == key:
        return (*address, misspelt), f"unknown key {shown(misspelt)} (did you mean '{key}'?)"
    return address, f"'{key}' is missing"


def _label(address: Address) -> str:
    """Return the last name of an address: the key, or for a list's element the list's key."""
    return next((part for part in reversed(address) if isinstance(part, str)), "the file")


def _plain(value: Any) -> Any:
    """Return a bound as people write it: 0 for 0.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
