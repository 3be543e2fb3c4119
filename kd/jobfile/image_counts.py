"""How many images a data set has, where that is known before they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kd import catalog
from kd.data.class_folders import is_image
from kd.data.folder_walk import walk


class Counts(NamedTuple):
    """Images of the training part, validation images included, and of the test part."""

    train: int
    test: int


KNOWN = {
    "digits": Counts(1437, 360),
    "mnist": Counts(60_000, 10_000),
    "cifar10": Counts(50_000, 10_000),
    "cifar100": Counts(50_000, 10_000),
}


def image_counts(name: str, root: str | None, arguments: Mapping[str, object]) -> Counts | None:
    """Return how many images a data set has, or None when only reading it tells."""
    if name in KNOWN:
        return KNOWN[name]
    if name == "synthetic":
        made = catalog.resolve_arguments("dataset", name, arguments)
        return Counts(made["train"], made["test"])
    if name == "image_folder" and root is not None and Path(root).is_dir():
        return _in_folders(Path(root), catalog.resolve_arguments("dataset", name, arguments)["test"])
    return None


def _in_folders(root: Path, test: Any) -> Counts:
    """Count the images of a class folder by their suffixes; ``test`` is the test part's folder, or its share."""
    parts = [entry.path.removeprefix("./").partition("/")[0] for entry in walk(root) if is_image(entry.path)]
    tested = parts.count(test) if isinstance(test, str) else round(test * len(parts))
    return Counts(len(parts) - tested, tested)
