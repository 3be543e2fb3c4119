"""The augmented batches of an epoch: a pure function of (seed, epoch, step), whatever came before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kd.data.augment import SHARED_SEED, Views, epoch_order
from kd.data.hashing import stream_key
from kd.data.mixing import Mixing, Pairs, draw_pairs, mix_images
from kd.data.sampling import Sampling, sampled_order
from kd.data.store import DeviceStore
from kd.train.distributed import ALONE, Processes
from kd.train.step import Batch, Mixed


class AugmentedBatches:
    """Full batches only: the few images left over at the end of an epoch wait for the next one's order.

    One shape for every step keeps batch statistics, relational losses and compiled code uniform. A set
    smaller than ``batch_size`` is one batch. With ``cached_views`` the images come in so many views in turn, the same
    for every seed, for which a teacher's cache has its outputs; the order stays the seed's own. Of several processes
    each yields its share of the same batches; raises SpecError when they cannot be shared equally. With ``channels``
    the student sees only these of the images' channels, and teachers all. With ``sampling`` rare classes are drawn more
    often (one class per image); an image drawn twice in an epoch is seen in the same view, which caches hold.
    ``further`` changes the images of a batch once more; its numbers are the epoch, the step, the process, and 1 for
    images that others are mixed with.
    """

    def __init__(
        self,
        store: DeviceStore,
        *,
        batch_size: int,
        seed: int,
        mixing: Mixing | None = None,
        cached_views: int | None = None,
        channels: Sequence[int] | None = None,
        sampling: Sampling | None = None,
        further: Callable[..., Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        assert further is None or cached_views is None, "no cache holds a teacher's outputs for such images"
        assert mixing is None or cached_views is None, "no cache holds a teacher's outputs for mixed images"
        self._store, self._seed, self._mixing, self._processes = store, seed, mixing, processes
        self._cached_views, self._sampling, self._further = cached_views, sampling, further
        self._channels = None if channels is None else torch.tensor(channels, device=store.labels.device)
        self.batch_size = min(batch_size, len(store))
        self.steps = len(store) // self.batch_size
        processes.require_even(self.batch_size)

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 0) from step ``first_step`` (from 0) on."""
        order = self._order(epoch).to(self._store.labels.device)
        if self._cached_views is None:
            views = self._store.views(seed=self._seed, view=epoch)
        else:
            views = self._store.views(seed=SHARED_SEED, view=epoch % self._cached_views)
        pairs = self._pairs(epoch, first_step)
        for step in range(first_step, self.steps):
            self._seed_step(epoch, step)
            whole = order[step * self.batch_size : (step + 1) * self.batch_size]
            indices = self._processes.share(whole)
            images, labels = self._images(indices, views, epoch, step), self._store.labels[indices]
            mixed = None if pairs is None else self._mix(pairs[step - first_step], images, whole, views, (epoch, step))
            seen, privileged = (images, None) if self._channels is None else (self._select(images), images)
            yield Batch(images=seen, labels=labels, indices=indices, view=epoch, mixed=mixed, privileged=privileged)

    def _order(self, epoch: int) -> Tensor:
        if self._sampling is None:
            return epoch_order(len(self._store), seed=self._seed, epoch=epoch)
        return sampled_order(self._store.labels, self._sampling, seed=self._seed, epoch=epoch)

    def _select(self, images: Tensor) -> Tensor:
        """Return the student's channels of the images, in channels-last memory as these are."""
        assert self._channels is not None
        return images.index_select(1, self._channels).contiguous(memory_format=torch.channels_last)

    def _pairs(self, epoch: int, first_step: int) -> list[Pairs] | None:
        """Return how each batch of an epoch is mixed, on the device: one copy here, so that no step waits for one."""
        if self._mixing is None or first_step >= self.steps:
            return None
        drawn = [
            draw_pairs(
                self._mixing,
                size=self.batch_size,
                image_size=self._store.image_size,
                seed=self._seed,
                epoch=epoch,
                step=step,
            )
            for step in range(first_step, self.steps)
        ]
        partners = torch.stack([pairs.partners for pairs in drawn]).to(self._store.labels.device)
        return [replace(pairs, partners=own) for pairs, own in zip(drawn, partners, strict=True)]

    def _images(self, indices: Tensor, views: Views, epoch: int, step: int, part: int = 0) -> Tensor:
        images = self._store.batch(indices, views)
        return images if self._further is None else self._further(images, epoch, step, self._processes.rank, part)

    def _mix(self, pairs: Pairs, images: Tensor, whole: Tensor, views: Views, place: tuple[int, int]) -> Mixed:
        """Mix this process's images, in place, with partners from the whole batch; return what came in."""
        partners = self._processes.share(whole[pairs.partners])
        mix_images(images, self._images(partners, views, *place, part=1), pairs)
        return Mixed(labels=self._store.labels[partners], share=pairs.share)

    def _seed_step(self, epoch: int, step: int) -> None:
        """Give each of several processes a random stream of its own (dropout), which need not be saved to resume."""
        if self._processes.several:
            torch.manual_seed(stream_key("process", self._seed, epoch, step, self._processes.rank))
