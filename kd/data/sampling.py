"""Which images an epoch shows where classes are uneven: a pure function of (seed, epoch), as the plain order is.

An epoch has as many draws as there are images. Each class gets its share of them; a class with fewer images than draws
shows them in turn, again and again, and one with more shows a random part that changes with the epoch.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from kd.data.augment import epoch_order
from kd.data.hashing import permutation, stream_key

Sampling: TypeAlias = Literal["balanced", "square_root"]

# A class of n images gets a share of the draws in proportion to n to this power (square root: arXiv:1805.00932).
_POWERS: dict[Sampling, float] = {"balanced": 0.0, "square_root": 0.5}


def sampled_order(labels_N: Tensor, sampling: Sampling, *, seed: int, epoch: int) -> Tensor:
    """Return the images that an epoch shows, in their order: int64 [N] on the CPU, with repetitions."""
    labels = labels_N.cpu().numpy()
    sizes = np.bincount(labels)
    shares = np.where(sizes > 0, np.maximum(sizes, 1) ** _POWERS[sampling], 0)
    draws = _whole(shares / shares.sum() * len(labels))
    chosen = np.empty(len(labels), dtype=np.int64)
    end = 0
    for number in np.flatnonzero(sizes):
        members = np.flatnonzero(labels == number)
        shuffled = members[permutation(stream_key("sampling", seed, epoch, int(number)), len(members))]
        begin, end = end, end + draws[number]
        chosen[begin:end] = np.resize(shuffled, draws[number])
    return torch.from_numpy(chosen)[epoch_order(len(labels), seed=seed, epoch=epoch)]


def _whole(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return whole numbers near the shares with the same sum (largest remainder)."""
    numbers = np.floor(shares).astype(np.int64)
    short = round(shares.sum()) - int(numbers.sum())
    numbers[np.argsort(numbers - shares, kind="stable")[:short]] += 1
    return numbers
