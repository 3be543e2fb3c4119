"""Everything random about an epoch, as a pure function of (seed, epoch, image): order, crop offsets, flips.

Nothing here has state, so any device, any number of threads and any resume sees the same batches: batch ``k``
of an epoch is ``epoch_order(...)[k * size : (k + 1) * size]``, each image under its own view. A *view* is an
epoch-like number: live training uses view = epoch; a teacher cache of K fixed views uses view = epoch mod K.
Another kind of chance (cutout, mixup partners) is another purpose word in ``stream_key``; the existing
streams stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kd.data.hashing import integers_below, permutation, stream_key


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views:
    """How each of N images is seen: cut at (row, column) of the padded image, then mirror where ``flips``."""

    rows: Tensor  # int64 [N], 0 .. 2 * padding
    columns: Tensor  # int64 [N], 0 .. 2 * padding
    flips: Tensor  # bool [N]

    def to(self, device: torch.device | str) -> Views:
        """Return the same views on a device: once per epoch, so that no batch waits for a copy."""
        return Views(rows=self.rows.to(device), columns=self.columns.to(device), flips=self.flips.to(device))


def epoch_order(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits ``count`` images: int64 [count], on the CPU."""
    return torch.from_numpy(permutation(stream_key("order", seed, epoch), count))


def epoch_views(count: int, *, padding: int, flip: bool, seed: int, view: int) -> Views:
    """Return how view number ``view`` shows each of ``count`` images, on the CPU.

    ``padding`` is in pixels on each side (He et al. 2016 use 4 for CIFAR); with ``flip`` half the images are
    mirrored.
    """

    def draw(limit: int, purpose: str) -> Tensor:
        return torch.from_numpy(integers_below(limit, stream_key(purpose, seed, view), count))

    return Views(
        rows=draw(2 * padding + 1, "crop row"),
        columns=draw(2 * padding + 1, "crop column"),
        flips=draw(2, "flip").bool() if flip else torch.zeros(count, dtype=torch.bool),
    )
