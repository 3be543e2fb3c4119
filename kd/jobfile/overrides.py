"""``--set dotted.key=value``: a job file's document with single values replaced on the command line."""

from __future__ import annotations

from typing import Any

from kd.errors import SpecError, did_you_mean, printable, shown
from kd.jobfile.source import Address, Document, parse_value


def apply_override(document: Document, text: str) -> Document:
    """Return the document with one ``dotted.key=value`` applied. Raises SpecError when the text or its target is wrong.

    A number in the key counts into a list: ``seeds.0=7``. A key below a short form spells it out:
    ``stages.teacher.model.width=32`` turns ``model: resnet8`` into ``model: {name: resnet8, width: 32}``.
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
    return replace(document, address, parsed, place)


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
    known = _spelt_out(data, above)
    if not isinstance(known, dict):
        raise SpecError([f"{place}: '{above[-1]}' has no keys, it is {shown(data)}"])
    if above == ("stages",) and len(rest) > 1 and rest[0] not in known:
        raise SpecError([f"{place}: unknown stage '{rest[0]}'{did_you_mean(str(rest[0]), list(known))}"])
    item, address = _replaced(known.get(str(rest[0])), rest[1:], value, place, (*above, rest[0]))
    return {**known, rest[0]: item}, address


def _spelt_out(data: Any, above: Address) -> Any:
    """Return the long form of what may be written short; other data as it is."""
    if data is None:
        return {}
    if isinstance(data, str) and above[-1] in ("model", "optimizer", "schedule"):
        return {"name": data}
    if isinstance(data, (int, float)) and above[-2:-1] == ("loss",):
        return {"weight": data}
    return data


def _index(data: list[Any], part: str | int, above: Address, place: str) -> int:
    text = str(part)
    if not (text.isascii() and text.isdigit() and int(text[:9]) < len(data)):
        raise SpecError([f"{place}: '{above[-1]}' is a list of {len(data)}; expected a number from 0, got '{part}'"])
    return int(text)
