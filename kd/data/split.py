"""Which images belong to which part: a fixed choice by hashed index, the same for every seed and machine.

Class proportions are kept (largest remainder), and a smaller part of the same purpose is, within each class,
a subset of a larger one. Where images have several labels, each combination of labels is a class of this kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kd.data.hashing import hash_stream, stream_key
from kd.data.notes import some
from kd.errors import DataError


class Split(NamedTuple):
    """Indices into the training images, int64, ascending, together complete; and the hash of both lists."""

    train: Tensor
    validation: Tensor
    digest: str


def split(labels: Tensor, validation: float) -> Split:
    """Cut images from the training part, stratified by class: so many, or this fraction; zero cuts none.

    ``labels`` are [N] or [N, K]. Raises DataError when nothing would be left to train on.
    """
    total = len(labels)
    count = validation if isinstance(validation, int) else round(validation * total)
    if not 0 <= count < total:
        raise DataError(f"data.validation is {validation}, but must leave some of the {total} training images")
    held_out = stratified_pick(labels, count, "validation")
    keep = torch.ones(total, dtype=torch.bool)
    keep[held_out] = False
    train = torch.nonzero(keep).flatten()
    return Split(train, held_out, split_digest(train, held_out))


def stratified_pick(labels: Tensor, count: int, purpose: str) -> Tensor:
    """Return ``count`` ascending indices whose classes are in the proportions of ``labels`` ([N] or [N, K]).

    Within a class the images of lowest hash are taken; ``purpose`` names the hash, so that two purposes pick
    independently.
    """
    classes = (labels if labels.ndim == 1 else _combinations(labels)).numpy()
    total = len(classes)
    assert 0 <= count <= total
    sizes = np.bincount(classes)
    quotas = _quotas(sizes, count)
    by_class_then_hash = np.lexsort((hash_stream(stream_key("split", purpose), total), classes))
    first_of_class = np.cumsum(sizes) - sizes
    rank_in_class = np.arange(total) - first_of_class[classes[by_class_then_hash]]
    chosen = by_class_then_hash[rank_in_class < quotas[classes[by_class_then_hash]]]
    return torch.from_numpy(np.sort(chosen).astype(np.int64))


def pick_by_content(classes: Sequence[str], hashes: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Return which images make up ``share`` of each class: those of lowest hash of their content.

    Images of equal hash are taken together, so that a class may give a few more.
    """
    numbers = np.unique(np.asarray(classes), return_inverse=True)[1]
    sizes = np.bincount(numbers)
    chosen = np.zeros(len(numbers), dtype=np.bool_)
    for number, quota in enumerate(_quotas(sizes, round(share * len(numbers)))):
        own = numbers == number
        if quota:
            chosen |= own & (hashes <= np.sort(hashes[own])[quota - 1])
    return chosen


def require_every_class(
    source: Path, classes: Sequence[str], test: Iterable[str], train: Iterable[str], share: float
) -> None:
    """Raise DataError where a part that was cut, given by its images' classes, lacks one of all ``classes``."""
    for part, there in (("test", test), ("training", train)):
        if lacking := sorted(set(classes) - set(there)):
            raise DataError(
                f"{source}: with 'test: {share:g}' the {part} part has no image of {some(lacking)}; "
                "give these classes more images, or choose another share"
            )


def _quotas(sizes: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return how many of each class make up ``count``, in proportion to ``sizes`` (largest remainder)."""
    quotas, remainders = np.divmod(sizes * count, int(sizes.sum()))
    short = count - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:short]] += 1
    return quotas


def _combinations(labels_NK: Tensor) -> Tensor:
    """Return the number [N] of each image's combination of labels."""
    _, numbers = torch.unique(labels_NK, dim=0, return_inverse=True)
    return torch.as_tensor(numbers)


def split_digest(train: Tensor, validation: Tensor) -> str:
    """Return the SHA-256 of the two index lists as little-endian 64-bit integers, in hex."""
    digest = sha256()
    for part in (train, validation):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part.numpy().astype("<i8").tobytes())
    return digest.hexdigest()
