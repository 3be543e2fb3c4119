"""The page docs/reference.md, from the models of a job file and the catalogue.

python -m kd.jobfile.reference > docs/reference.md
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from kd import catalog
from kd.arguments import described
from kd.jobfile.schema import Attack, Augment, Data, EarlyStopping, Ema, MixingOptions, Resources
from kd.jobfile.stage import Pipeline, stage_kinds
from kd.signatures import REQUIRED, UNSET, Argument

_HEAD = """\
# Reference

Every key of a job file, and every argument of what it can name. This page is generated from the code; the pages
named in each section explain. What a job file leaves out has its default; *required* has none.
[job_files.md](job_files.md) explains `defaults`, `variants` and `grid`, which any stage may use.
"""
_OPTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("resources", Resources),
    ("data", Data),
    ("augment", Augment),
    ("mixup` and `cutmix", MixingOptions),
    ("ema", Ema),
    ("early_stopping", EarlyStopping),
    ("attack", Attack),
)
# kind of the catalogue -> the title of its section, and what stands above its entries
_SECTIONS: Mapping[str, tuple[str, str]] = {
    "dataset": ("Data sets", "`data: {name: …, …}`, beside the keys above: [data.md](data.md)."),
    "model": ("Models", "`model: {name: …, …}`: [models.md](models.md), also for timm's, torchvision's and your own."),
    "optimizer": ("Optimizers", "`optimizer: {name: …, …}`."),
    "schedule": ("Schedules", "`schedule: {name: …, …}`: the factor on the learning rate, epoch by epoch."),
    "loss": ("Losses", "`loss: {name: weight}` or `{name: {weight: …, …}}`: [losses.md](losses.md) has the settings."),
    "weighting": ("Weightings", "`weighting: {name: …, …}` of several teachers: [distillation.md](distillation.md)."),
    "temperature": (
        "Temperatures",
        "`temperature: {name: …, …}`, over the epochs: [distillation.md](distillation.md).",
    ),
}


def page() -> str:
    """Return the page."""
    lines = [_HEAD, "## The job file", "", *_keys_of(Pipeline), "## Stages", "", _contents(), ""]
    for kind, model in stage_kinds().items():
        lines += [f"### `kind: {kind}`", "", _first_paragraph(model), "", *_keys_of(model)]
    lines += ["## Keys within keys", ""]
    for key, option in _OPTIONS:
        lines += [f"### `{key}`", "", _first_paragraph(option), "", *_keys_of(option)]
    for kind, (title, above) in _SECTIONS.items():
        lines += [f"## {title}", "", above, "", *_shared_arguments(kind)]
        for entry in sorted(catalog.entries(kind).values(), key=lambda entry: entry.name):
            lines += [f"### `{entry.name}`", "", *_as_markdown(entry.text), "", *_arguments(entry.arguments)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Print the page."""
    sys.stdout.write(page())
    return 0


def _contents() -> str:
    return "Stage kinds: " + ", ".join(f"[`{kind}`](#kind-{kind})" for kind in stage_kinds()) + "."


def _keys_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield the table of the keys of a part of the job file; the kind stands in the title."""
    properties: Mapping[str, Any] = model.model_json_schema().get("properties", {})
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key != "kind":
            default = "*required*" if field.is_required() else _default(field.get_default(call_default_factory=True))
            rows.append((f"`{key}`", default, _allowed(properties[key]), field.description or ""))
    return _table(("key", "default", "allowed", "what it says"), rows)


def _arguments(arguments: Mapping[str, Argument]) -> Iterator[str]:
    rows = [
        (f"`{name}`", _argument_default(argument), described(argument.annotation))
        for name, argument in arguments.items()
    ]
    return _table(("argument", "default", "allowed"), rows) if rows else iter(())


def _shared_arguments(kind: str) -> Iterator[str]:
    shared = catalog.SHARED.get(kind, {})
    if shared:
        yield "All of them also take:"
        yield ""
        yield from _arguments(shared)


def _argument_default(argument: Argument) -> str:
    if argument.default is REQUIRED:
        return "*required*"
    return "not given" if argument.default is UNSET else _default(argument.default)


def _default(value: Any) -> str:
    """Return a default as a job file would have it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
        value = value["name"] if value.keys() == {"name"} else value
    if isinstance(value, dict):
        value = {key: each.weight if hasattr(each, "weight") else each for key, each in value.items()}
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return in words what a JSON Schema of one key allows."""
    if "x-catalogue" in schema:
        return {"optimizer": "an optimizer", "dataset": "a data set"}.get(
            schema["x-catalogue"], f"a {schema['x-catalogue']}"
        )
    if "$ref" in schema:
        return "a mapping ([below](#keys-within-keys))"
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(map(_allowed, choices)))
    if values := schema.get("enum"):
        return ", ".join(f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in values)
    kind = schema.get("type")
    if kind == "array":
        return f"a list (each: {_allowed(schema['items'])})"
    if kind == "string":
        return "text" + "".join(f", as `{example}`" for example in schema.get("examples", [])[:2])
    return _number(schema) if kind in ("integer", "number") else _PLAIN.get(str(kind), "any value")


_PLAIN = {"boolean": "true or false", "null": "`null`", "object": "a mapping"}
_BOUNDS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
)


def _number(schema: Mapping[str, Any]) -> str:
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS if key in schema]
    return " ".join([kind, " and ".join(bounds)]).strip()


def _first_paragraph(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " ")


def _as_markdown(text: str) -> Iterator[str]:
    """Yield a docstring, its code in single backticks and its formulas as they stand."""
    for line in text.replace("``", "`").split("\n"):
        yield line if "`" in line else line.replace("*", "\\*").replace("_", "\\_")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
