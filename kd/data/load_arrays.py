"""A data set by its catalogue name, cut down to a class-balanced part where a job asks for less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from kd.catalog import check_arguments, entries, find, load
from kd.data.arrays import ImageArrays
from kd.data.split import stratified_pick
from kd.errors import DataError, did_you_mean


def load_arrays(
    name: str,
    root: Path | None,
    arguments: Mapping[str, object],
    train_subset: int | None = None,
    test_subset: int | None = None,
) -> ImageArrays:
    """Load data set ``name`` from ``root`` with its ``arguments``; keep ``*_subset`` images of a part or all.

    The parts kept are stratified and fixed: they depend on no seed. Mean and deviation stay those of the
    whole set. Raises DataError when the set is unknown, missing, damaged or smaller than asked.
    """
    entry = find("dataset", name)
    if entry is None:
        raise DataError(f"no data set '{name}'{did_you_mean(name, list(entries('dataset')))}")
    if faults := [message for _, message in check_arguments(entry, "dataset", arguments, own=())]:
        raise DataError("; ".join(faults))
    arrays: ImageArrays = load("dataset", name)(root, **arguments)
    train = _subset(arrays.train_labels, train_subset, name, "train_subset", "training")
    test = _subset(arrays.test_labels, test_subset, name, "test_subset", "test")
    if train is not None:
        arrays = replace(arrays, train_images=arrays.train_images[train], train_labels=arrays.train_labels[train])
    if test is not None:
        arrays = replace(arrays, test_images=arrays.test_images[test], test_labels=arrays.test_labels[test])
    return arrays


def _subset(labels_N: Tensor, count: int | None, name: str, key: str, part: str) -> Tensor | None:
    """Return the indices to keep, or None for all."""
    if count is None:
        return None
    if not 1 <= count <= len(labels_N):
        raise DataError(f"data.{key} is {count}, but {name} has {len(labels_N)} {part} images")
    return stratified_pick(labels_N, count, key)
