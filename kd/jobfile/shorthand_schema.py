"""What ``defaults``, ``variants`` and ``grid`` add to the JSON Schema of a job file: editors know them too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

VARIANT_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]*$"
_NOT_OF_A_VARIANT = ("kind", "variants", "grid")
_NOT_A_DEFAULT = (*_NOT_OF_A_VARIANT, "seeds", "about")


def with_shorthand(schema: Schema, kinds: Mapping[str, str], training: tuple[str, ...]) -> Schema:
    """Return the schema with the short forms; ``kinds`` maps each stage kind to the name of its definition.

    A key that a kind requires may come from the defaults, a variant or the grid, so it is required only where a stage
    has none of them.
    """
    definitions = dict(schema["$defs"])
    required = {kind: definitions[name].get("required", []) for kind, name in kinds.items()}
    for name in kinds.values():
        definitions[name] = _with_variants(name, definitions[name])
    properties = dict(schema["properties"])
    properties["defaults"] = _defaults(definitions, kinds, training)
    return {**schema, "$defs": definitions, "properties": properties, "allOf": [_required_unless_given(required)]}


def _with_variants(name: str, stage: Schema) -> Schema:
    """Return the schema of a stage that may have variants and a grid."""
    changes: Schema = {
        "type": "object",
        "properties": _changed(name, stage, _NOT_OF_A_VARIANT),
        "patternProperties": {r"\.": {}},
        "additionalProperties": False,
    }
    variants = {
        "description": "Name → what this variant changes of the stage: keys, or dotted keys for one value inside",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": VARIANT_NAME},
        "additionalProperties": {"anyOf": [changes, {"type": "null"}]},
    }
    grid = {
        "description": "Key or dotted key → a list of values, or names with a value each; every combination is a stage",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}],
        },
    }
    added = {"variants": variants, "grid": grid}
    dotted: Schema = {r"\.": {}}  # one value inside what the defaults say
    properties = {**stage["properties"], **added}
    return {**stage, "properties": properties, "patternProperties": dotted, "required": ["kind"]}


def _changed(name: str, stage: Schema, without: tuple[str, ...]) -> Schema:
    """Return the keys of a stage, each with its values or null, which takes the key away."""
    own = [key for key in stage["properties"] if key not in without]
    return {key: {"anyOf": [{"$ref": f"#/$defs/{name}/properties/{key}"}, {"type": "null"}]} for key in own}


def _defaults(definitions: Schema, kinds: Mapping[str, str], training: tuple[str, ...]) -> Schema:
    of_kinds = {
        kind: {
            "description": f"What every stage of kind {kind} has unless it says otherwise",
            "type": "object",
            "properties": _changed(name, definitions[name], _NOT_A_DEFAULT),
            "patternProperties": {r"\.": {}},
            "additionalProperties": False,
        }
        for kind, name in kinds.items()
    }
    shared: Schema = {}
    for kind in training:
        shared |= _changed(kinds[kind], definitions[kinds[kind]], _NOT_A_DEFAULT)
    return {
        "description": "What every training stage (train, distill) has unless it says otherwise",
        "type": "object",
        "properties": {**shared, **of_kinds},
        "patternProperties": {r"\.": {}},
        "additionalProperties": False,
    }


def _required_unless_given(required: Mapping[str, list[str]]) -> Schema:
    """Return the rule that a stage has its kind's required keys where no short form could give them."""
    by_kind = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"required": keys}}
        for kind, keys in required.items()
        if len(keys) > 1
    ]
    short = {"anyOf": [{"required": ["variants"]}, {"required": ["grid"]}]}
    stage = {"if": {"type": "object", "not": short}, "then": {"allOf": by_kind}}
    return {
        "if": {"not": {"required": ["defaults"]}},
        "then": {"properties": {"stages": {"type": "object", "additionalProperties": stage}}},
    }
