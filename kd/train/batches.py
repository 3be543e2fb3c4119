"""The augmented batches of an epoch: a pure function of (seed, epoch, step), whatever came before."""

from __future__ import annotations

from collections.abc import Iterator

from kd.data.augment import epoch_order
from kd.data.store import DeviceStore
from kd.train.step import Batch


class AugmentedBatches:
    """Full batches only: the few images left over at the end of an epoch wait for the next one's order.

    One shape for every step keeps batch statistics, relational losses and compiled code uniform. A set
    smaller than ``batch_size`` is one batch.
    """

    def __init__(self, store: DeviceStore, *, batch_size: int, seed: int) -> None:
        self._store, self._seed = store, seed
        self.batch_size = min(batch_size, len(store))
        self.steps = len(store) // self.batch_size

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 0) from step ``first_step`` (from 0) on."""
        order = epoch_order(len(self._store), seed=self._seed, epoch=epoch).to(self._store.labels.device)
        views = self._store.views(seed=self._seed, view=epoch)
        for step in range(first_step, self.steps):
            indices = order[step * self.batch_size : (step + 1) * self.batch_size]
            images, labels = self._store.batch(indices, views), self._store.labels[indices]
            yield Batch(images=images, labels=labels, indices=indices, view=epoch)
