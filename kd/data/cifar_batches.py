"""The official python batches of CIFAR-10 and CIFAR-100, in a folder or archive: pickled dicts of planes and labels.

https://www.cs.toronto.edu/~kriz/cifar.html describes them. What differs between the two sets is in ``Layout``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd.data.archive import ARCHIVE_SUFFIXES
from kd.data.arrays import Part
from kd.data.plain_pickle import PickledArray, load_plain
from kd.errors import DataError

SIZE = 32  # pixels a side


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What a set's files are called. ``names`` matches the names of its archives and of folders of its images."""

    title: str
    data_set: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    names: str
    suffixes: tuple[str, ...] = ARCHIVE_SUFFIXES
    images: bool = False  # whether a folder train/<class>/ will do

    @property
    def batches(self) -> tuple[str, ...]:
        """The names of all files of images."""
        return (*self.train, self.test)


def find(root: Path | None, layout: Layout) -> Path:
    """Return the file or folder to read: ``root`` or the one thing in it that is this data set.

    Raises DataError when there is none, or more than one.
    """
    if root is None:
        raise DataError(f"data set {layout.data_set} needs data.root: a folder or archive")
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if root.is_file() or (root / layout.train[0]).is_file() or _holds_images(root, layout):
        return root
    if (root / layout.folder).is_dir():
        return root / layout.folder  # the archive it came from often still lies beside it
    found = [
        path for path in sorted(root.iterdir()) if re.match(layout.names, path.name.lower()) and _fits(path, layout)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{root}: holds {', '.join(path.name for path in found)}; name one of them as data.root")
    places = [f"{layout.folder}/", *(["train/"] if layout.images else []), layout.archive]
    kinds = ", ".join([*places, *(f"{layout.data_set}*{suffix}" for suffix in layout.suffixes)])
    raise DataError(f"{root}: holds no {layout.title}; looked for {kinds}")


def _holds_images(folder: Path, layout: Layout) -> bool:
    return layout.images and (folder / "train").is_dir()


def _fits(path: Path, layout: Layout) -> bool:
    return path.name.lower().endswith(layout.suffixes) or _holds_images(path, layout)


def base_name(path: str) -> str:
    """Return the last part of a path inside an archive."""
    return path.rpartition("/")[2]


def read_parts(source: Path, files: Mapping[str, bytes], layout: Layout, labels: bytes) -> tuple[Part, Part]:
    """Return the training and the test part. ``files`` are the official ones by name, ``labels`` the key of the labels.

    Raises DataError naming the file that is missing or damaged.
    """
    missing = [name for name in layout.batches if name not in files]
    if missing:
        raise DataError(f"{source}: lacks {', '.join(missing)}")
    parts = {name: _read_batch(f"{source}: {name}", files[name], layout.title, labels) for name in layout.batches}
    images, classes = zip(*(parts[name] for name in layout.train), strict=True)
    return (torch.cat(images), torch.cat(classes)), parts[layout.test]


def _read_batch(name: str, data: bytes, title: str, labels_key: bytes) -> Part:
    """Return one batch: a pickled dict of planes [N, 3 * 32 * 32] and a list of labels."""
    content = load_plain(data, name)
    try:
        planes, labels = content[b"data"], content[labels_key]
        if not isinstance(planes, PickledArray) or any(type(label) is not int for label in labels):
            raise TypeError("data must be an array and labels whole numbers")
        images = torch.from_numpy(planes.bytes_array()).view(-1, 3, SIZE, SIZE)
        return images, torch.from_numpy(np.array(labels, dtype=np.int64))
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{name}: no {title} batch ({error})") from error


def read_names(name: str, data: bytes, key: bytes) -> tuple[str, ...]:
    """Return the class names under ``key`` of the file ``meta``. Raises DataError when they are not there."""
    content: Any = load_plain(data, name)
    try:
        return tuple(each.decode("ascii") for each in content[key])
    except (KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise DataError(f"{name}: no list of class names ({error})") from error
