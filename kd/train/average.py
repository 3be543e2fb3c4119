"""A moving average of a model's weights (EMA), which is validated and exported in the model's place.

average <- d average + (1 - d) weights after every step, with d = min(decay, (1 + t) / (10 + t)) at step t, so that the
first steps are forgotten however short the training is (the ramp of TensorFlow's ExponentialMovingAverage). Running
statistics of batch norm are averaged like weights; counters are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_Tensors = tuple[list[Tensor], list[Tensor]]  # the averages, and the model's own beside them


class WeightAverage:
    """The moving average of a model's state dictionary, in ``weights``. The model keeps its tensors while it trains."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        # looked up once: in a deep network that takes longer than averaging
        current = model.state_dict(keep_vars=True)
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in current.items()}
        self._averaged = _pairs(self.weights, current, floating=True)
        self._copied = _pairs(self.weights, current, floating=False)

    def update(self, step: int) -> None:
        """Take in the model's weights after step number ``step`` (from 0, over all epochs)."""
        self.take_in(self.share_of_new(step))

    def share_of_new(self, step: int) -> float:
        """Return how much of the weights after step number ``step`` goes into the average."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def take_in(self, share: float | Tensor) -> None:
        """Move the average by this share of the way to the model's weights; a tensor is a scalar on their device."""
        averages, current = self._averaged
        if isinstance(share, Tensor):
            torch._foreach_lerp_(averages, current, [share] * len(averages))
        else:
            torch._foreach_lerp_(averages, current, share)
        if self._copied[0]:
            torch._foreach_copy_(*self._copied)

    @contextmanager
    def worn_by(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the averaged weights for the time of the block."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take back what ``weights`` held."""
        for name, value in weights.items():
            self.weights[name].copy_(value)


def _pairs(averages: Mapping[str, Tensor], current: Mapping[str, Tensor], *, floating: bool) -> _Tensors:
    """Return all averages of weights (or of counters) and what they follow, for one call on all of them."""
    names = [name for name, value in averages.items() if value.is_floating_point() is floating]
    return [averages[name] for name in names], [current[name] for name in names]
