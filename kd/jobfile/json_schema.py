"""The JSON Schema of a job file, from the models of ``kd.jobfile`` and the catalogue: editors complete and check by it.

    python -m kd.jobfile.json_schema > jobs/schema.json

It knows every key, name, argument and range. What needs more than one place of the file to tell (references, cycles,
weight sums) only the loader checks.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from kd import catalog
from kd.arguments import RANGES, alternatives, element_of, is_nothing, literal_values, parse_annotation, value_of
from kd.entry import Entry
from kd.jobfile.schema import ALIASES, Data
from kd.jobfile.shorthand_schema import with_shorthand
from kd.jobfile.stage import Pipeline, stage_kinds, training_kinds
from kd.library_networks import LIBRARIES
from kd.signatures import REQUIRED, UNSET, Argument

Schema: TypeAlias = dict[str, object]

DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that editors know best
MARKER = "x-catalogue"
OWN_NAME = r"^[\w.]+:[\w.]+$"


def job_schema() -> Schema:
    """Return the JSON Schema of a job file."""
    schema = _tidied(Pipeline.model_json_schema())
    for part in ("Component", "Data", "TermOptions"):  # the catalogue's own definitions take their place
        del schema["$defs"][part]
    schema["$defs"] |= {kind: _tidied(build(kind)) for kind, build in _BUILDERS.items()}
    compare = schema["$defs"]["ReportStage"]["properties"]["compare"]
    (names,) = compare.pop("patternProperties").values()
    compare["additionalProperties"] = names  # keys may be patterns
    kinds = {kind: model.__name__ for kind, model in stage_kinds().items()}
    return {"$schema": DIALECT, "title": "A job file of kd", **with_shorthand(schema, kinds, training_kinds())}


def main() -> int:
    """Print the schema."""
    json.dump(job_schema(), sys.stdout, indent=1, ensure_ascii=False)
    print()
    return 0


def _tidied(node: Any) -> Any:
    """Return a schema without generated titles and empty defaults, with catalogue markers turned into references."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    if MARKER in node:
        described = {"description": node["description"]} if "description" in node else {}
        return {"$ref": f"#/$defs/{node[MARKER]}", **described}
    kept = {
        key: value
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and _is_empty(value))
    }
    if "patternProperties" in kept:  # a mapping whose keys are names
        kept.setdefault("additionalProperties", False)
    return {key: _tidied(value) for key, value in kept.items()}


def _is_empty(default: Any) -> bool:
    return default is None or isinstance(default, dict)


def _component_schema(kind: str) -> Schema:
    """Return the schema of a named thing: its bare name, or a mapping of its name and arguments."""
    choices: list[Schema] = []
    for name, entry in catalog.entries(kind).items():
        mapping = _mapping_schema(kind, entry, {"name": {"const": name}}, ["name"])
        if mapping["required"] == ["name"]:
            choices.append({"const": name, "description": entry.summary})
        choices.append(mapping)
    choices += [{"const": alias, "description": f"The same as {name}"} for alias, name in ALIASES.get(kind, {}).items()]
    others = _library_schemas() + _own_schemas(kind) if kind == "model" else []
    return {"anyOf": [*choices, *others]}


def _own_component_schema(kind: str) -> Schema:
    """Return the schema of a component that is the user's own always."""
    return {"anyOf": _own_schemas(kind)}


def _own_schemas(kind: str) -> list[Schema]:
    """Return the schemas of what is the user's own; an editor cannot read its arguments."""
    name = {"type": "string", "pattern": OWN_NAME}
    return [
        {**name, "description": f"A {kind} of your own: my_code:Name of 'code: [my_code.py]', or package.module:Name"},
        {"type": "object", "properties": {"name": name}, "required": ["name"]},
    ]


def _library_schemas() -> list[Schema]:
    """Return the schemas of other people's networks, whose names and arguments depend on what is installed."""
    name = {"type": "string", "pattern": rf"^({'|'.join(LIBRARIES)})/.+$"}
    return [
        {**name, "description": "A network of timm or torchvision (timm/resnet18)"},
        {"type": "object", "properties": {"name": name}, "required": ["name"]},
        {
            "type": "object",
            "properties": {"name": {"enum": list(LIBRARIES)}, "network": {"type": "string"}},
            "required": ["name", "network"],
        },
    ]


def _dataset_schema(kind: str) -> Schema:
    whole = Data.model_json_schema()
    own, required = whole["properties"], whole["required"]
    entries = [
        _mapping_schema(kind, entry, {**own, "name": {"const": name}}, required)
        for name, entry in catalog.entries(kind).items()
    ]
    name = {"type": "string", "pattern": OWN_NAME, "description": "A data set of your own: my_code:name"}
    return {"anyOf": [*entries, {"type": "object", "properties": {**own, "name": name}, "required": required}]}


def _loss_schema(kind: str) -> Schema:
    weight: Schema = {"type": "number", "minimum": 0}
    asks: dict[str, Schema] = {"teacher": {"type": "string", "description": "The one of several teachers that it asks"}}
    terms: dict[str, Schema] = {}
    for name, entry in catalog.entries(kind).items():
        taught = asks if any(each.startswith("teacher") for each in entry.inputs) else {}
        mapping = _mapping_schema(kind, entry, {"weight": weight, "loss": {"const": name}, **taught}, ["weight"])
        bare = [weight] if mapping["required"] == ["weight"] else []
        terms[name] = {"description": entry.summary, "anyOf": [*bare, mapping]}
    named: Schema = {  # its arguments are those of its loss, which only the loader checks
        "type": "object",
        "properties": {"weight": weight, "loss": {"anyOf": [{"enum": list(terms)}, {"pattern": OWN_NAME}]}, **asks},
        "required": ["weight", "loss"],
    }
    mine: Schema = {"type": "object", "properties": {"weight": weight, **asks}, "required": ["weight"]}
    own: Schema = {"description": "A loss of your own: my_code:name", "anyOf": [weight, mine]}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": terms,
        "patternProperties": {OWN_NAME: own},
        "additionalProperties": named,
        "propertyNames": {"pattern": rf"^[A-Za-z]\w*$|{OWN_NAME}"},
    }


def _mapping_schema(kind: str, entry: Entry, own: Mapping[str, Schema], required: list[str]) -> Schema:
    """Return the schema of an entry's arguments beside the keys that every such mapping has."""
    needed = [key for key, argument in entry.arguments.items() if argument.default is REQUIRED]
    arguments = {**entry.arguments, **catalog.SHARED.get(kind, {})}
    return {
        "type": "object",
        "description": entry.summary,
        "properties": {**own, **{key: _argument_schema(argument) for key, argument in arguments.items()}},
        "required": [*required, *needed],
        "additionalProperties": False,
    }


def _argument_schema(argument: Argument) -> Schema:
    default = {} if argument.default in (REQUIRED, UNSET, None) else {"default": argument.default}
    return {**_annotation_schema(parse_annotation(argument.annotation)), **default}


def _annotation_schema(node: ast.expr) -> Schema:
    if len(choices := alternatives(node)) > 1:
        return {"anyOf": [_annotation_schema(choice) for choice in choices]}
    if is_nothing(node):
        return {"type": "null"}
    if (values := literal_values(node)) is not None:
        return {"enum": values}
    if (element := element_of(node)) is not None:
        return {"type": "array", "items": _annotation_schema(element)}
    if (inside := value_of(node)) is not None:
        return {"type": "object", "additionalProperties": _annotation_schema(inside)}
    name = ast.unparse(node)
    if name == "Any":
        return {}
    if name not in RANGES:
        return {"type": {"bool": "boolean", "str": "string"}[name]}
    allowed = RANGES[name]
    bounds = {"minimum": allowed.at_least, "exclusiveMinimum": allowed.above, "maximum": allowed.at_most}
    kind = "integer" if allowed.whole else "number"
    return {"type": kind, **{key: bound for key, bound in bounds.items() if bound is not None}}


_BUILDERS: Mapping[str, Callable[[str], Schema]] = {
    "model": _component_schema,
    "optimizer": _component_schema,
    "schedule": _component_schema,
    "weighting": _component_schema,
    "temperature": _component_schema,
    "loss": _loss_schema,
    "dataset": _dataset_schema,
    "augmentation": _own_component_schema,
}

if __name__ == "__main__":
    sys.exit(main())
