"""Which images belong to which part: a fixed choice by hashed index, the same for every seed and machine.

Class proportions are kept (largest remainder), and a smaller part of the same purpose is, within each class,
a subset of a larger one.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kd.data.hashing import hash_stream, stream_key
from kd.errors import DataError


class Split(NamedTuple):
    """Indices into the training images, int64, ascending, together complete; and the hash of both lists."""

    train: Tensor
    validation: Tensor
    digest: str


def split(labels_N: Tensor, validation: int) -> Split:
    """Cut ``validation`` images from the training part, stratified by class; zero cuts none.

    Raises DataError when nothing would be left to train on.
    """
    total = len(labels_N)
    if not 0 <= validation < total:
        raise DataError(f"data.validation is {validation}, but must leave some of the {total} training images")
    held_out = stratified_pick(labels_N, validation, "validation")
    keep = torch.ones(total, dtype=torch.bool)
    keep[held_out] = False
    train = torch.nonzero(keep).flatten()
    return Split(train, held_out, split_digest(train, held_out))


def stratified_pick(labels_N: Tensor, count: int, purpose: str) -> Tensor:
    """Return ``count`` ascending indices whose classes are in the proportions of ``labels_N``.

    Within a class the images of lowest hash are taken; ``purpose`` names the hash, so that two purposes pick
    independently.
    """
    labels = labels_N.numpy()
    total = len(labels)
    assert 0 <= count <= total
    sizes = np.bincount(labels)
    quotas, remainders = np.divmod(sizes * count, total)
    short = count - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:short]] += 1

    by_class_then_hash = np.lexsort((hash_stream(stream_key("split", purpose), total), labels))
    first_of_class = np.cumsum(sizes) - sizes
    rank_in_class = np.arange(total) - first_of_class[labels[by_class_then_hash]]
    chosen = by_class_then_hash[rank_in_class < quotas[labels[by_class_then_hash]]]
    return torch.from_numpy(np.sort(chosen).astype(np.int64))


def split_digest(train: Tensor, validation: Tensor) -> str:
    """Return the SHA-256 of the two index lists as little-endian 64-bit integers, in hex."""
    digest = sha256()
    for part in (train, validation):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part.numpy().astype("<i8").tobytes())
    return digest.hexdigest()
