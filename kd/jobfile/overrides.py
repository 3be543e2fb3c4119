"""``--set dotted.key=value``: a job file's document with single values replaced on the command line."""

from __future__ import annotations

from typing import Any

from kd.errors import SpecError, did_you_mean, printable, shown
from kd.jobfile.shorthand import matching, spelt_out
from kd.jobfile.source import Address, Document, parse_value
from kd.jobfile.stage import stage_kinds


def apply_override(document: Document, text: str) -> Document:
    """Return the document with one ``dotted.key=value`` applied. Raises SpecError when the text or its target is wrong.

    A number in the key counts into a list: ``seeds.0=7``. A key below a short form spells it out:
    ``stages.teacher.model.width=32`` turns ``model: resnet8`` into ``model: {name: resnet8, width: 32}``. The name of a
    stage may be a pattern (``stages.*.epochs=5``), or that of a stage with variants, and then means all of them.
    """
    key, separator, value = text.partition("=")
    place = printable(f"--set {text}")
    address = tuple(key.split("."))
    if not separator or not all(address):
        raise SpecError([f"{place}: expected dotted.key=value, as in stages.teacher.epochs=10"])
    try:
        parsed = parse_value(value)
    except ValueError as error:
        raise SpecError([f"{place}: {error}"]) from None
    for target in _targets(document, address, place):
        document = replace(document, target, parsed, place)
    return document


def is_of_shorthand(text: str) -> bool:
    """Whether an override changes what is still to be written out: the defaults, or a stage's variants or grid."""
    address = text.partition("=")[0].split(".")
    return address[0] == "defaults" or (address[0] == "stages" and not {"variants", "grid"}.isdisjoint(address[2:3]))


def _targets(document: Document, address: Address, place: str) -> list[Address]:
    """Return the addresses that one means: several where its stage is a pattern, or has variants.

    A stage's name may hold dots itself, so the longest beginning of the key that names a stage is its name. With a
    pattern, stages of a kind that has no such key are left as they are, unless none has it.
    """
    stages = document.data.get("stages")
    if address[0] != "stages" or len(address) < 3 or not isinstance(stages, dict):
        return [address]
    for length in range(len(address) - 1, 1, -1):
        wanted = ".".join(map(str, address[1:length]))
        if names := matching(list(stages), wanted):
            rest = address[length:]
            if "*" in wanted:
                names = [name for name in names if _may_hold(stages[name], str(rest[0]))] or names
            return [("stages", name, *rest) for name in names]
    if "*" in str(address[1]):
        raise SpecError([f"{place}: no stage is called '{address[1]}'{did_you_mean(str(address[1]), list(stages))}"])
    return [address]


def _may_hold(stage: Any, key: str) -> bool:
    """Whether the kind of a stage has a key."""
    kind = stage_kinds().get(str(stage.get("kind"))) if isinstance(stage, dict) else None
    return kind is not None and key in kind.model_fields


def replace(document: Document, address: Address, value: Any, place: str) -> Document:
    """Return the document with the value at an address replaced; faults in it are placed at ``place``."""
    data, real_address = _replaced(document.data, address, value, place, ())
    kept = {old: at for old, at in document.positions.items() if old[: len(real_address)] != real_address}
    for length in range(1, len(real_address) + 1):  # keys that the file does not have
        kept.setdefault(real_address[:length], place)
    return Document(name=document.name, data=data, positions=kept)


def _replaced(data: Any, rest: Address, value: Any, place: str, above: Address) -> tuple[Any, Address]:
    """Return ``data`` with the value at ``rest`` replaced, and the address in it with list indices as numbers."""
    if not rest:
        return value, above
    if isinstance(data, list):
        index = _index(data, rest[0], above, place)
        item, address = _replaced(data[index], rest[1:], value, place, (*above, index))
        return [*data[:index], item, *data[index + 1 :]], address
    known = spelt_out(data, above)
    if not isinstance(known, dict):
        raise SpecError([f"{place}: '{above[-1]}' has no keys, it is {shown(data)}"])
    if above == ("stages",) and len(rest) > 1 and rest[0] not in known:
        raise SpecError([f"{place}: unknown stage '{rest[0]}'{did_you_mean(str(rest[0]), list(known))}"])
    item, address = _replaced(known.get(str(rest[0])), rest[1:], value, place, (*above, rest[0]))
    return {**known, rest[0]: item}, address


def _index(data: list[Any], part: str | int, above: Address, place: str) -> int:
    text = str(part)
    if not (text.isascii() and text.isdigit() and int(text[:9]) < len(data)):
        raise SpecError([f"{place}: '{above[-1]}' is a list of {len(data)}; expected a number from 0, got '{part}'"])
    return int(text)
