"""The CSV of a set of frames: a row per frame, with the paths of its images and a 0 or 1 for each label.

Read and checked as a whole: every fault is found before anything is trained, and named by its line of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kd.errors import DataError, shown

Fault = tuple[int, str]  # line of the file, and what is wrong with it


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The names of the columns: the two images', and the labels'."""

    image: str
    infrared: str
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One row: the line of the file it stands on, the images' paths in the data folder, the labels."""

    line: int
    image: str
    infrared: str
    labels: tuple[int, ...]


def read_table(root: Path, name: str, columns: Columns) -> tuple[list[Frame], list[Fault]]:
    """Return the good rows of ``root/name`` and the faults of the others.

    Raises DataError when the file cannot be read as a table of these columns.
    """
    path = root / name
    if _points_out(name):
        raise DataError(f"{path}: points out of the data folder; refused")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            present = reader.fieldnames or []
            wanted = (columns.image, columns.infrared, *columns.labels)
            if missing := [column for column in wanted if column not in present]:
                raise DataError(f"{path}: has no column {', '.join(missing)} (it has {', '.join(present) or 'none'})")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    if not rows:
        raise DataError(f"{path}: holds no frame")
    frames: list[Frame] = []
    faults: list[Fault] = []
    met: dict[str, int] = {}
    for line, row in rows:
        found = [*_path_faults(root, row, columns), *_label_faults(row, columns)]
        image = row[columns.image] or ""
        if image in met:
            found.append(f"{columns.image}: {shown(image)} stands on line {met[image]} already")
        met.setdefault(image, line)
        faults += [(line, fault) for fault in found]
        if not found:
            labels = tuple(int(float(row[label])) for label in columns.labels)
            frames.append(Frame(line=line, image=image, infrared=row[columns.infrared], labels=labels))
    return frames, faults


def require_both_answers(path: Path, frames: Sequence[Frame], labels: Sequence[str]) -> None:
    """Raise DataError where all frames have a label, or none has: nothing can be learned of it."""
    for number, label in enumerate(labels):
        values = {frame.labels[number] for frame in frames}
        if len(values) == 1:
            raise DataError(f"{path}: label '{label}' is {values.pop()} in every row; remove it from data.labels")


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise DataError if there are faults: how many in its first line, then each on a line of its own."""
    if not faults:
        return
    ordered = sorted(faults)
    lines = len({line for line, _ in ordered})
    head = f"{path}: {len(ordered)} fault{'s' if len(ordered) > 1 else ''} on {lines} line{'s' if lines > 1 else ''}"
    first_line, first = ordered[0]
    each = [f"{path}:{line}: {fault}" for line, fault in ordered]
    raise DataError("\n".join([f"{head}, the first on line {first_line}: {first}", *(each if len(each) > 1 else [])]))


def _path_faults(root: Path, row: dict[str, str | None], columns: Columns) -> list[str]:
    faults = []
    for column in (columns.image, columns.infrared):
        value = row[column]
        if not value:
            faults.append(f"{column}: no path")
        elif _points_out(value):
            faults.append(f"{column}: {shown(value)} points out of the data folder; refused")
        elif not (root / value).is_file():
            faults.append(f"{column}: {shown(value)}: no such file")
    return faults


def _points_out(path: str) -> bool:
    return path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path or path[1:2] == ":"


def _label_faults(row: dict[str, str | None], columns: Columns) -> list[str]:
    return [f"{label}: expected 0 or 1, got {shown(row[label])}" for label in columns.labels if not _is_bit(row[label])]


def _is_bit(text: str | None) -> bool:
    """Whether a cell is 0 or 1, perhaps as the real number that a table program makes of it."""
    try:
        return float(text or "nan") in (0.0, 1.0)
    except ValueError:
        return False
