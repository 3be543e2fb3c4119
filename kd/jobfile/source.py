"""YAML text to plain data, with the file, line and column of every key and value.

Strict where YAML is a trap: duplicate keys, tags, merge keys and several documents are refused; only ``true``/``false``
are booleans (not ``yes``, ``on``); ``1e-3`` is a number; ``12:30`` is text, not a number in base 60. An alias
(``*name``) repeats a value that contains no alias itself.

The data is built from the parser's events: libyaml's own builder overflows the C stack on deeply nested text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from kd.errors import SpecError, printable, shown

Address: TypeAlias = tuple[str | int, ...]
MOST_DEPTH = 20
MOST_VALUES = 200_000  # with every alias written out
MOST_BYTES = 1 << 20

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _integer(text: str) -> int:
    value = int(text.replace("_", "")) if len(text) < 30 else 2**64
    if abs(value) >= 2**63:
        raise ValueError(f"the number {shown(text)} is too large")
    return value


# YAML 1.2's plain scalars
_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?(?:0|[1-9][0-9_]*)"), _integer),
    (re.compile(r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Plain data and where each part of it stands. ``data`` holds dicts, lists, text, numbers, booleans and None.

    ``positions`` maps the address of each key and value to ``file:line:column``, in the order of the file.
    """

    name: str
    data: dict[str, object]
    positions: Mapping[Address, str] = field(default_factory=dict)

    def line(self, address: Address, message: str) -> str:
        """Return ``place: message`` for one fault, placed at the nearest known part of the address."""
        return printable(f"{self.positions.get(self.nearest(address), self.name)}: {message}")

    def nearest(self, address: Address) -> Address:
        """Return the longest beginning of an address whose position is known."""
        while address and address not in self.positions:
            address = address[:-1]
        return address


def read_document(path: Path, shown_as: str | None = None) -> Document:
    """Read a YAML file whose top level is a mapping. Raises SpecError with file, line and column on any fault."""
    name = shown_as or str(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SpecError([f"{name}: no such file"]) from None
    except OSError as error:
        raise SpecError([f"{name}: {error.strerror}"]) from None
    if len(content) > MOST_BYTES:
        raise SpecError([f"{name}: longer than {MOST_BYTES >> 20} MiB: this is no file for people to write"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SpecError([f"{name}:{line}:1: not UTF-8 text"]) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text; see read_document."""
    builder = _Builder(text, name)
    data = builder.build()
    if not isinstance(data, dict):
        place = builder.positions.get((), f"{name}:1:1")
        raise SpecError([f"{place}: expected keys and values at the top level, as in 'pipeline: cnn'"])
    return Document(name=name, data=data, positions=builder.positions)


def parse_value(text: str) -> Any:
    """Parse the value of a ``--set key=value`` by the same rules. Raises ValueError when it is no YAML."""
    try:
        return _Builder(text, "").build()
    except SpecError as error:
        place_and_reason = error.lines[0].split(": ", 1)
        raise ValueError(place_and_reason[-1]) from None


class _Builder:
    """Builds plain data from the events of one YAML document."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.text = text
        self.positions: dict[Address, str] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}  # anchor -> its value, and how many values it holds
        self.anchored = 0  # how many anchored values are being built
        self.size = 0

    def build(self) -> Any:
        """Return the data of the only document; None for an empty one."""
        if bad := _UNPRINTABLE.search(self.text):
            before = self.text[: bad.start()]
            line, column = before.count("\n") + 1, bad.start() - before.rfind("\n")
            raise SpecError([f"{self.name}:{line}:{column}: the character {bad[0]!a} is not allowed"])
        self.events: Iterator[Any] = iter(yaml.parse(self.text, Loader=_Loader))
        try:
            next(self.events)  # the stream's start
            if isinstance(next(self.events), yaml.StreamEndEvent):
                return None
            data = self._value(next(self.events), ())
            next(self.events)  # the document's end
            if not isinstance(event := next(self.events), yaml.StreamEndEvent):
                raise self._fault(event, "expected one document, found a second ('---')")
        except yaml.YAMLError as error:
            raise SpecError([self._syntax_line(error)]) from None
        return data

    def _value(self, event: Any, address: Address) -> Any:
        self.positions.setdefault(address, self._place(event))
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(event)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._fault(event, f"the tag {shown(tag)} is not allowed: write the plain value")
        if len(address) > MOST_DEPTH:
            raise self._fault(event, f"nested more than {MOST_DEPTH} deep")
        self._count(event, 1)
        if event.anchor is None:
            return self._plain_value(event, address)
        before = self.size
        self.anchored += 1
        value = self._plain_value(event, address)
        self.anchored -= 1
        self.anchors[event.anchor] = value, self.size - before + 1
        return value

    def _plain_value(self, event: Any, address: Address) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        return self._list(address) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(address)

    def _scalar(self, event: Any) -> Any:
        if event.implicit[0]:  # plain: without quotes
            for pattern, construct in _SCALARS:
                if pattern.fullmatch(event.value):
                    try:
                        return construct(event.value)
                    except ValueError as error:
                        raise self._fault(event, str(error)) from None
        return event.value

    def _list(self, address: Address) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*address, len(items))))
        return items

    def _mapping(self, address: Address) -> dict[str, object]:
        result: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in result:
                first = self.positions[(*address, key)].removeprefix(f"{self.name}:").partition(":")[0]
                raise self._fault(event, f"duplicate key {shown(key)} (first on line {first})")
            self.positions[(*address, key)] = self._place(event)
            result[key] = self._value(next(self.events), (*address, key))
        return result

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag or event.anchor:
            raise self._fault(event, "expected a name as key")
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self._fault(event, f"expected a name as key, got {shown(key)}")
        if key == "<<":
            raise self._fault(event, "merge keys (<<) are not allowed: write the keys out")
        return key

    def _repeated(self, event: Any) -> Any:
        if self.anchored:
            raise self._fault(event, f"the alias *{event.anchor} lies inside an anchored value: write it out")
        if event.anchor not in self.anchors:
            raise self._fault(event, f"the alias *{event.anchor} has no &{event.anchor} before it")
        value, size = self.anchors[event.anchor]
        self._count(event, size)
        return value

    def _count(self, event: Any, size: int) -> None:
        self.size += size
        if self.size > MOST_VALUES:
            raise self._fault(event, f"more than {MOST_VALUES:,} values")

    def _place(self, event: Any) -> str:
        return f"{self.name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"

    def _fault(self, event: Any, message: str) -> SpecError:
        return SpecError([f"{self._place(event)}: {message}"])

    def _syntax_line(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        if mark is None:
            return f"{self.name}: not valid YAML: {problem}"
        lines = self.text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        hint = " (indent with spaces, not with tabs)" if "\t" in line[: len(line) - len(line.lstrip())] else ""
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {problem}{hint}"
