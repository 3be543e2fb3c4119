"""An augmentation of the user's own: what each training batch goes through behind the crop, the mirror and the hole.

It is given pixels from 0 to 1, float32 [B, C, H, W], and gives as many back. Its random numbers (torch's, NumPy's and
Python's) begin anew at each step from the stage's seed, so that an interrupted stage sees the same images again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd.data.hashing import stream_key
from kd.errors import SpecError, shown
from kd.user_code.definitions import UserEntry, read_entry
from kd.user_code.importing import import_entry, users_errors


def user_augmentation(*, module: str, attribute: str, **arguments: Any) -> Callable[[Tensor], Tensor]:
    """Import ``module`` and return its ``attribute`` as a function of images.

    Raises SpecError, with the line of the user's file, when it cannot be imported or made.
    """
    entry = read_entry("augmentation", module, attribute)
    function = import_entry(module, attribute)
    if entry.is_class:
        with users_errors(entry.name, module):
            function = function(**arguments)
        arguments = {}
    return _Augmentation(entry, function, arguments)


class NormalisedAugmentation:
    """An augmentation of pixels from 0 to 1, applied to normalised images of this ``mean`` and ``std``."""

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        seed: int,
    ) -> None:
        self._function, self._seed, self._device = function, seed, device
        self._mean, self._std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (mean, std))

    def __call__(self, images_BCHW: Tensor, *place: int) -> Tensor:
        """Return the images changed; ``place`` (epoch, step …) decides the random numbers."""
        pixels = images_BCHW * self._std + self._mean
        with _random_numbers_of(stream_key("own augmentation", self._seed, *place), self._device):
            changed = self._function(pixels)
        return ((changed - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


class _Augmentation:
    def __init__(self, entry: UserEntry, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._entry, self._function, self._arguments = entry, function, arguments

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        if isinstance(self._function, nn.Module):
            self._function.to(images_BCHW.device)
        with users_errors(self._entry.name, self._entry.module):
            changed = self._function(images_BCHW, **self._arguments)
        if not isinstance(changed, Tensor) or changed.shape != images_BCHW.shape or not changed.is_floating_point():
            gives = f"{changed.dtype} {list(changed.shape)}" if isinstance(changed, Tensor) else shown(changed)
            place = f"{self._entry.source.place}:{self._entry.line}"
            expected = f"float32 {list(images_BCHW.shape)}"
            raise SpecError([f"{place}: {self._entry.name} gives {gives}; {expected} is expected"])
        return changed.detach().float()


@contextmanager
def _random_numbers_of(key: int, device: torch.device) -> Iterator[None]:
    """Draw from this key inside, and go on outside as if nothing had been drawn."""
    before = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(key)
        random.seed(key)
        np.random.seed(key % 2**32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
