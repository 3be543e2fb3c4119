"""Random numbers of an adapter: of the seed and of the batches so far, so that a resume goes on with the same ones."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """A generator per batch, the same in every process that trains this model. ``state`` is what is saved of it."""

    def __init__(self, state: Tensor | None = None) -> None:
        self._seed: int
        self._batches: int
        self._seed, self._batches = (torch.initial_seed() % 2**32, 0) if state is None else state.tolist()

    def generator(self, device: torch.device) -> torch.Generator:
        """Return the generator of the batch under way, at its beginning."""
        return torch.Generator(device).manual_seed(self._seed + self._batches)

    def advance(self) -> None:
        """Go on to the next batch."""
        self._batches += 1

    @property
    def state(self) -> Tensor:
        """Where the draws stand: [seed, batches]; kept off the device."""
        return torch.tensor([self._seed, self._batches])
