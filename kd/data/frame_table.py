"""The CSV of a set of frames: a row per frame, with the paths of its images and what is labelled of it.

Read and checked as a whole: every fault is found before anything is trained, and named by its line of the file.
Torch-free.
"""

from __future__ import annotations

import csv
import os
import posixpath
import re
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kd.data.notes import note
from kd.errors import DataError, printable, shown

Fault = tuple[int, str]  # line of the file, and what is wrong with it
MOST_FAULTS = 20  # that are named one by one
_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The names of the columns: of the images' paths, of labels (0 or 1), or of the one column that names a class."""

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    class_name: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that the file must have."""
        return (*self.images, *self.labels, *([self.class_name] if self.class_name else []))


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One row: the line of the file it stands on, the images' paths in the data folder, the labels or the class."""

    line: int
    images: tuple[str, ...]
    labels: tuple[int, ...] = ()
    class_name: str = ""


def read_table(
    root: Path, name: str, columns: Columns, *, look_for: int | None = None
) -> tuple[list[Frame], list[Fault]]:
    """Return the good rows of ``root/name`` and the faults of the others.

    Of the first ``look_for`` rows the images must be there; of all if it is not given. Raises DataError when the file
    cannot be read as a table of these columns.
    """
    path = root / name
    if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
        raise DataError(f"{path}: points out of the data folder; refused")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            separator = _separator(path, file.readline(), columns)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            reader.fieldnames = [column.strip() for column in reader.fieldnames or []]
            _require_columns(path, reader.fieldnames, separator, columns)
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read as a table (not in UTF-8: {error.reason}); save it as UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    if not rows:
        raise DataError(f"{path}: holds no frame")
    images = _Images(root, columns.images)
    frames: list[Frame] = []
    faults: list[Fault] = []
    for number, (line, row) in enumerate(rows):
        paths, found = images.of(line, row, look=look_for is None or number < look_for)
        found += _label_faults(row, columns)
        faults += [(line, fault) for fault in found]
        if not found:
            labels = tuple(int(float(row[label])) for label in columns.labels)
            class_name = row[columns.class_name].strip() if columns.class_name else ""
            frames.append(Frame(line=line, images=paths, labels=labels, class_name=class_name))
    return frames, faults


def _separator(path: Path, header: str, columns: Columns) -> str:
    """Return what separates the columns: programs of many countries write semicolons, some write tabs."""

    def known(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])]
        return sum(column in names for column in columns.all), len(names)

    chosen = max(_SEPARATORS, key=known)
    if chosen != "," and known(chosen)[0] == len(columns.all):
        note(path, f"its columns are separated by {chosen!r}")
    return chosen


def _require_columns(path: Path, present: Sequence[str], separator: str, columns: Columns) -> None:
    """Raise DataError unless each column is there once."""
    if missing := [column for column in columns.all if column not in present]:
        has = printable(", ".join(present)) or "none"
        told = "" if separator == "," else f", separated by {separator!r}"
        raise DataError(f"{path}: has no column {', '.join(missing)} (it has {has}{told})")
    if twice := [column for column in columns.all if present.count(column) > 1]:
        raise DataError(f"{path}: has two columns '{twice[0]}'; which one is meant?")


@dataclass(slots=True)
class _Images:
    """The images of rows as paths in the data folder, one spelling for each file, and each frame once.

    Absolute paths were written on some machine, perhaps this one: what precedes the data folder in the first of them
    is taken off all. Windows' backslashes and drive letters are understood.
    """

    root: Path
    columns: tuple[str, ...]
    _outer: str | None = None
    _met: dict[Any, tuple[int, str]] = field(default_factory=dict)

    def of(self, line: int, row: dict[str, str | None], *, look: bool) -> tuple[tuple[str, ...], list[str]]:
        """Return the paths of a row's images and what is wrong with them; ``look`` at the files, too."""
        paths, faults = [], []
        for column in self.columns:
            text = (row[column] or "").strip()
            path, fault = self._inside(text) if text else ("", "no path")
            file = None if fault or not look else _file_of(self.root / path)
            if not fault and look and file is None:
                fault = f"{shown(text)}: no such file{_other_form(self.root, path)}"
            if not fault and column == self.columns[0]:
                first_line, first = self._met.setdefault(file or path, (line, text))
                if first_line != line:
                    same = "stands" if first == text else f"is the file {shown(first)}, which stands"
                    fault = f"{shown(text)} {same} on line {first_line} already"
            faults += [f"{column}: {fault}"] if fault else []
            paths.append(path)
        return tuple(paths), faults

    def _inside(self, text: str) -> tuple[str, str]:
        """Return a path relative to the data folder, or what is wrong with it."""
        if "\\" in text and not (self.root / text).is_file():
            text = text.replace("\\", "/")
        if not text.startswith("/") and not re.match("[A-Za-z]:", text):
            path = posixpath.normpath(text)
            return path, f"{shown(text)} points out of the data folder; refused" if path.split("/")[0] == ".." else ""
        whole = posixpath.normpath(text)
        if self._outer is None:
            self._outer = self._outer_of(whole)
        if self._outer is not None and whole.startswith(self._outer):
            return whole[len(self._outer) :], ""
        where = self.root if self._outer is None else f"{self._outer}, which is the data folder in other rows"
        return "", f"{shown(text)} lies outside of {where}"

    def _outer_of(self, whole: str) -> str | None:
        """Return what precedes the data folder's part of an absolute path that leads to a file in it."""
        cuts = [number + 1 for number, character in enumerate(whole) if character == "/"]
        return next((whole[:cut] for cut in cuts if (self.root / whole[cut:]).is_file()), None)


def _file_of(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file however its path is spelled, or None where there is none."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else None


def _other_form(root: Path, path: str) -> str:
    """Return what to add of a file whose name is there in another Unicode form: the two look the same."""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, path)
        if other != path and _file_of(root / other):
            return f" in this Unicode form ({path!a}), but {other!a} is there (macOS decomposes accents); write that"
    return ""


def require_both_answers(path: Path, frames: Sequence[Frame], labels: Sequence[str]) -> None:
    """Raise DataError where all frames have a label, or none has: nothing can be learned of it."""
    for number, label in enumerate(labels):
        values = {frame.labels[number] for frame in frames}
        if len(values) == 1:
            raise DataError(f"{path}: label '{label}' is {values.pop()} in every row; remove it from data.labels")


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise DataError if there are faults: how many in its first line, then the first ones on a line of their own."""
    if not faults:
        return
    ordered = sorted(faults)
    lines = len({line for line, _ in ordered})
    head = f"{path}: {len(ordered)} fault{'s' if len(ordered) > 1 else ''} on {lines} line{'s' if lines > 1 else ''}"
    first_line, first = ordered[0]
    each = [f"{path}:{line}: {fault}" for line, fault in ordered[:MOST_FAULTS]]
    if len(ordered) > MOST_FAULTS:
        each.append(f"{path}: and {len(ordered) - MOST_FAULTS:,} more")
    raise DataError("\n".join([f"{head}, the first on line {first_line}: {first}", *(each if len(each) > 1 else [])]))


def _label_faults(row: dict[Any, Any], columns: Columns) -> list[str]:
    faults = [
        f"{label}: expected 0 or 1, got {shown(row[label])}" for label in columns.labels if not _is_bit(row[label])
    ]
    if columns.class_name and not (row[columns.class_name] or "").strip():
        faults.append(f"{columns.class_name}: no class")
    if None in row:
        faults.append(f"{len(row[None])} more cells than columns: {shown(row[None][0])} … (a separator in a path?)")
    return faults


def _is_bit(text: str | None) -> bool:
    """Whether a cell is 0 or 1, perhaps as the real number that a table program makes of it."""
    try:
        return float(text or "nan") in (0.0, 1.0)
    except ValueError:
        return False
