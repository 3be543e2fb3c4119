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


class WeightAverage:
    """The moving average of a model's state dictionary, in ``weights``."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step number ``step`` (from 0, over all epochs)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(value)

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
