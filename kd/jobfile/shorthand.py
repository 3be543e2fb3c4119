"""``defaults``, ``variants`` and ``grid`` of a job file, written out as plain stages.

It works on the document, before the schema is checked. Every value keeps its position, so a fault in a variant is
placed at the variant's own line, and a fault in a default at the default's. After it there are plain stages only: a
variant ``dkd`` of the stage ``distilled`` is the stage ``distilled.dkd``. A file may name that stage itself, as the
job.yaml of every run does: it holds what was written out, and loads again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from kd import catalog
from kd.errors import did_you_mean, shown
from kd.jobfile.source import Address, Document
from kd.jobfile.stage import stage_kinds, training_kinds
from kd.jobfile.variants import Keys, Layer, fault, variants_of

_NO_DEFAULTS = ("kind", "seeds", "variants", "grid")
Positions: TypeAlias = dict[Address, str]
Path: TypeAlias = tuple[str, ...]  # of a value inside a stage


def write_out(document: Document) -> Document:
    """Return the document with plain stages only. Raises SpecError with one line at the first thing that is wrong."""
    data, stages = document.data, document.data.get("stages")
    if not isinstance(stages, dict):
        return document
    if not _uses_shorthand(data, stages):
        return document
    below = _positions_below(document)
    defaults = _defaults(document, data)
    positions = {at: place for at, place in document.positions.items() if at[:1] not in (("stages",), ("defaults",))}
    positions[("stages",)] = document.positions.get(("stages",), document.name)
    written: dict[str, Any] = {}
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            written[name] = stage
            positions |= {("stages", name, *rest): place for rest, place in below[("stages", name)].items()}
            continue
        for whole, layers in variants_of(document, name, stage):
            if whole in written:
                raise fault(document, ("stages", name), f"two stages would be called '{whole}'")
            kind = stage.get("kind")
            written[whole], own = _written(document, [*_defaults_of(defaults, kind), *layers], below)
            own[()] = document.positions.get(("stages", name), document.name)
            positions |= {("stages", whole, *path): place for path, place in own.items()}
    _write_comparisons(document, written, positions)
    kept = {key: value for key, value in data.items() if key != "defaults"}
    return Document(name=document.name, data={**kept, "stages": written}, positions=positions)


def matching(names: Sequence[str], wanted: str) -> list[str]:
    """Return the stages that a name means: itself, the variants of a stage, or all that a pattern with ``*`` fits."""
    if wanted in names:
        return [wanted]
    if any(sign in wanted for sign in "*?["):
        return [name for name in names if fnmatchcase(name, wanted)]
    return [name for name in names if name.startswith(f"{wanted}.")]


def spelt_out(value: Any, address: Address) -> Any:
    """Return the long form of what a stage may write short: a model's bare name, a loss term's bare weight."""
    if value is None:
        return {}
    if isinstance(value, str) and address[-1] in ("model", "optimizer", "schedule", "weighting", "temperature"):
        return {"name": value}
    if isinstance(value, (int, float)) and address[-2:-1] == ("loss",):
        return {"weight": value}
    return value


def _uses_shorthand(data: Keys, stages: Keys) -> bool:
    each = [stage for stage in stages.values() if isinstance(stage, dict)]
    return "defaults" in data or any(
        "variants" in stage or "grid" in stage or "*" in str(stage.get("compare")) for stage in each
    )


def _positions_below(document: Document) -> Mapping[Address, Positions]:
    """Return, for each address, the positions of itself and all below it, by the rest of their addresses."""
    below: dict[Address, Positions] = defaultdict(dict)
    for address, place in document.positions.items():
        for length in range(1, len(address) + 1):
            below[address[:length]][address[length:]] = place
    return below


def _defaults(document: Document, data: Keys) -> dict[str | None, Layer]:
    """Return the defaults of all trainings (None), and those of single kinds by the kind's name."""
    defaults = data.get("defaults", {})
    if not isinstance(defaults, dict):
        raise fault(document, ("defaults",), f"defaults: expected keys and values, got {shown(defaults)}")
    kinds = [key for key, value in defaults.items() if key in stage_kinds() and isinstance(value, dict)]
    found: dict[str | None, Layer] = {None: Layer.at(defaults, ("defaults",), leave=kinds)}
    found |= {kind: Layer.at(defaults[kind], ("defaults", kind)) for kind in kinds}
    for layer in found.values():
        for key in _NO_DEFAULTS:
            if key in layer.keys:
                raise fault(document, layer.addresses[key], f"'{key}' cannot be a default")
    return found


def _defaults_of(defaults: Mapping[str | None, Layer], kind: Any) -> list[Layer]:
    """Return the layers under a stage of a kind: what all trainings share, then what is its kind's own."""
    shared = [defaults[None]] if kind in training_kinds() else []
    return [*shared, *([defaults[kind]] if isinstance(kind, str) and kind in defaults else [])]


def _written(
    document: Document, layers: Sequence[Layer], below: Mapping[Address, Positions]
) -> tuple[dict[str, Any], Positions]:
    """Return the keys of a stage, those of all layers with the last of them winning, and their positions."""
    stage: dict[str, Any] = {}
    positions: Positions = {}
    for layer in layers:
        for key, value in layer.keys.items():
            origin = layer.addresses[key]
            for path in _paths(document, stage, key, origin):
                for stale in [known for known in positions if known[: len(path)] == path]:
                    del positions[stale]
                if value is None and len(layers) > 1:
                    _take_away(stage, path)
                    continue
                _put(stage, path, value)
                place = document.positions.get(document.nearest(origin), document.name)  # of an alias, its own
                for length in range(1, len(path) + 1):  # a key with dots spells several
                    positions.setdefault(path[:length], place)
                positions |= {(*path, *rest): place for rest, place in below.get(origin, {}).items()}
    return stage, positions


def _paths(document: Document, stage: Keys, key: str, origin: Address) -> list[Path]:
    """Return the places in a stage that a key names; ``loss.*.temperature`` is that of each loss that has one."""
    path = tuple(key.split("."))
    if not all(path):
        raise fault(document, origin, f"{shown(key)}: expected a key, or keys joined by dots as in 'optimizer.lr'")
    if "*" not in path:
        return [path]
    if len(path) != 3 or path[:2] != ("loss", "*"):
        raise fault(document, origin, f"{key}: '*' stands for the terms of a loss only, as in 'loss.*.temperature'")
    terms = stage.get("loss")
    named = terms if isinstance(terms, dict) else {}
    found: list[Path] = [("loss", term, path[2]) for term, entry in named.items() if _takes(term, entry, path[2])]
    if not found:
        raise fault(document, origin, f"{key}: no term of this stage's loss takes '{path[2]}'")
    return found


def _takes(term: str, written: Any, argument: str) -> bool:
    """Whether the loss of a term takes an argument; a term is called like its loss, or says which one it is."""
    loss = written.get("loss", term) if isinstance(written, dict) else term
    entry = catalog.find("loss", loss) if isinstance(loss, str) else None
    return entry is not None and argument in entry.arguments


def _put(stage: dict[str, Any], path: Path, value: Any) -> None:
    """Set one value of a stage; the mappings on the way are copied, since other variants share them."""
    inside = stage
    for depth, key in enumerate(path[:-1], start=1):
        known = spelt_out(inside.get(key), path[:depth])
        inside[key] = dict(known) if isinstance(known, dict) else {}
        inside = inside[key]
    inside[path[-1]] = value


def _take_away(stage: dict[str, Any], path: Path) -> None:
    """Remove one value of a stage, if it is there."""
    inside: Any = stage
    for key in path[:-1]:
        if not isinstance(inside.get(key), dict):
            return
        inside[key] = dict(inside[key])
        inside = inside[key]
    inside.pop(path[-1], None)


def _write_comparisons(document: Document, stages: dict[str, Any], positions: Positions) -> None:
    """Replace patterns such as ``distilled.*`` in a report's ``compare`` by the stages that they fit."""
    for name, stage in stages.items():
        if not isinstance(stage, dict) or not isinstance(stage.get("compare"), dict):
            continue
        address: Address = ("stages", name, "compare")
        result: dict[str, Any] = {}
        for wanted, others in stage["compare"].items():
            listed = [others] if isinstance(others, str) else others
            for each in _meant(document, list(stages), wanted, (*address, wanted)):
                place = document.positions.get((*address, wanted), document.name)
                positions.setdefault((*address, each), place)
                partners = _partners(document, list(stages), listed, (*address, wanted))
                result[each] = partners if each == wanted else _others(partners, each)
        stage["compare"] = result


def _partners(document: Document, names: Sequence[str], listed: Any, address: Address) -> Any:
    """Return the stages that one is compared with; what is no list of names stays for the schema to refuse."""
    if not isinstance(listed, list) or not all(isinstance(other, str) for other in listed):
        return listed
    return [each for other in listed for each in _meant(document, names, other, address)]


def _others(partners: Any, name: str) -> Any:
    """Return the partners of one of many stages that a pattern fits: itself is not among them."""
    return [other for other in partners if other != name] if isinstance(partners, list) else partners


def _meant(document: Document, names: Sequence[str], wanted: str, address: Address) -> list[str]:
    """Return the stages that a name means; an unknown name stays for the checks to refuse."""
    found = matching(names, wanted)
    if not found and "*" in wanted:
        raise fault(document, address, f"no stage is called '{wanted}'{did_you_mean(wanted, names)}")
    return found or [wanted]
