"""What a training step passes around: a batch goes in, losses come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """What the images of a batch were mixed with: images of these labels; ``share`` is left of their own."""

    labels: Tensor
    share: float | Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Augmented, normalised images [B, C, H, W] and labels [B] or [B, K] on the device, and which views they are.

    ``indices`` [B] count into the training images; ``view`` is the number of the augmented view, which is the epoch's
    (where views are cached they begin again after the last). Together they name what a teacher saw, for one that
    remembers; not so where the images are ``mixed``. ``privileged`` are the same images with further channels, where
    teachers may see more than the student (Lopez-Paz et al. 2016, arXiv:1511.03643). Of several processes each has its
    share of the batch.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    view: int
    mixed: Mixed | None = None
    privileged: Tensor | None = None

    def parts(self, count: int) -> list[Batch]:
        """Return the batch cut into ``count`` equal parts, in its order."""
        if count == 1:
            return [self]
        size = len(self.indices) // count
        assert size * count == len(self.indices), f"{len(self.indices)} images are not {count} equal parts"
        return [self._rows(slice(start, start + size)) for start in range(0, size * count, size)]

    def _rows(self, rows: slice) -> Batch:
        return Batch(
            images=self.images[rows],
            labels=self.labels[rows],
            indices=self.indices[rows],
            view=self.view,
            mixed=self.mixed and replace(self.mixed, labels=self.mixed.labels[rows]),
            privileged=None if self.privileged is None else self.privileged[rows],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """What a batch cost: ``total`` (scalar, weighted), ``parts`` [terms] (not weighted), logits [B, C].

    Only ``total`` is there to be differentiated; the others are detached. All are of the whole batch, in each of
    several processes.
    """

    total: Tensor
    parts: Tensor
    logits: Tensor


class Objective(Protocol):
    """What a training minimises."""

    @property
    def names(self) -> Sequence[str]:
        """The terms' names, in the order of ``Losses.parts``."""

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """Return the losses of one batch."""


class EpochObjective(Objective, Protocol):
    """An objective whose steps can be recorded: what changes with the epoch can be brought in from outside."""

    @property
    def asks_epoch(self) -> bool:
        """Whether a loss asks for the number of the epoch, so that each epoch's steps are other ones."""

    def follow(self, view: int) -> None:
        """Take up what an epoch brings: a temperature, a cached teacher's view."""


class Step(Protocol):
    """A step of a training in one of its forms."""

    def __call__(self, batch: Batch, number: int) -> Losses:
        """Change the weights by a batch; ``number`` counts the steps from 0 over all epochs."""


class Batches(Protocol):
    """The batches of any epoch, each a function of (epoch, step) alone: an epoch can be entered anywhere."""

    @property
    def steps(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, *, first_step: int) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 0) from step ``first_step`` (from 0) on."""
