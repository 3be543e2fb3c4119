"""Everything random about an epoch, as a pure function of (seed, epoch, image): order, crop offsets, flips, holes.

Nothing here has state, so any device, any number of threads and any resume sees the same batches: batch ``k``
of an epoch is ``epoch_order(...)[k * size : (k + 1) * size]``, each image under its own view. A *view* is an
epoch-like number: live training uses view = epoch of its own seed; a teacher's cache of K views uses view = epoch mod K
of SHARED_SEED, the same for all trainings.
Another kind of chance (mixup partners: ``kd.data.mixing``) is another purpose word in ``stream_key``; the existing
streams stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from kd.data.hashing import integers_below, permutation, stream_key
from kd.data.recipe import OFF, Changes, Recipe, draw_changes

Edges: TypeAlias = Literal["black", "reflect"]  # what pads an image before it is cropped
Flip: TypeAlias = bool | Literal["alternating"]

SHARED_SEED = 2**32  # of the views that a cache holds: the seed of no run, those are smaller


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views:
    """How each of N images is seen: cut at (row, column) of the padded image, then mirror where ``flips``.

    ``holes`` are the centres (row, column) of the squares that cutout then blanks, and ``changes`` what a recipe does,
    where they are asked for.
    """

    rows: Tensor  # int64 [N], 0 .. 2 * padding
    columns: Tensor  # int64 [N], 0 .. 2 * padding
    flips: Tensor  # bool [N]
    holes: Tensor | None = None  # int64 [N, 2], 0 .. image size - 1
    changes: Changes | None = None

    def to(self, device: torch.device | str) -> Views:
        """Return the same views on a device: once per epoch, so that no batch waits for a copy."""
        return Views(
            rows=self.rows.to(device),
            columns=self.columns.to(device),
            flips=self.flips.to(device),
            holes=None if self.holes is None else self.holes.to(device),
            changes=None if self.changes is None else self.changes.to(device),
        )


def epoch_order(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits ``count`` images: int64 [count], on the CPU."""
    return torch.from_numpy(permutation(stream_key("order", seed, epoch), count))


def epoch_views(
    count: int,
    *,
    size: int,
    padding: int,
    flip: Flip,
    seed: int,
    view: int,
    holes: bool = False,
    recipe: Recipe = OFF,
) -> Views:
    """Return how view number ``view`` shows each of ``count`` images of ``size`` pixels a side, on the CPU.

    ``padding`` is in pixels on each side (He et al. 2016 use 4 for CIFAR); with ``flip`` half the images are mirrored,
    alternating: those that the view before showed as they are (Jordan 2024, arXiv:2404.00498); with ``holes`` the
    centres of cutout's squares are drawn; a ``recipe`` changes more.
    """

    def draw(limit: int, purpose: str) -> Tensor:
        return torch.from_numpy(integers_below(limit, stream_key(purpose, seed, view), count))

    return Views(
        rows=draw(2 * padding + 1, "crop row"),
        columns=draw(2 * padding + 1, "crop column"),
        flips=_flips(count, flip, seed, view),
        holes=torch.stack([draw(size, "hole row"), draw(size, "hole column")], dim=1) if holes else None,
        changes=None if recipe == OFF else draw_changes(recipe, count, size=size, seed=seed, view=view),
    )


def _flips(count: int, flip: Flip, seed: int, view: int) -> Tensor:
    """Return which images are mirrored [count]; alternating views are those of view 0, and in turn the others."""
    if not flip:
        return torch.zeros(count, dtype=torch.bool)
    drawn_for = 0 if flip == "alternating" else view
    drawn = torch.from_numpy(integers_below(2, stream_key("flip", seed, drawn_for), count))
    return (drawn + view % 2).remainder(2).bool() if flip == "alternating" else drawn.bool()
