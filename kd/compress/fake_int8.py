"""Quantization-aware training (Jacob et al. 2018, arXiv:1712.05877): a network that trains with int8's rounding in it.

Convolutions and linear layers round their weights (one scale per output channel) and their inputs (one range each) to
the values that int8 has; gradients pass as if nothing had been rounded. Any training loop and any loss will do. Batch
norm stays what it is: folding it multiplies a channel's weights and their scale alike, so the rounding is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.errors import SpecError

WEIGHT_LEVELS = 127  # int8 without -128, symmetric about 0
INPUT_LEVELS = 255  # uint8
RANGE_MOMENTUM = 0.05  # how fast a range follows the batches

_Model = TypeVar("_Model", bound=nn.Module)


def prepare(model: _Model) -> _Model:
    """Return a copy of a network that rounds as int8 does, to be trained further.

    Its parameters keep their names; ranges are added as buffers. Raises SpecError when there is nothing to round.
    """
    prepared = copy.deepcopy(model)
    if not _replace(prepared, _PREPARE):
        raise SpecError(
            [f"{type(model).__name__} has no convolution and no linear layer; there is nothing to quantize"]
        )
    return prepared


def finish(prepared: _Model) -> _Model:
    """Return an ordinary copy of a trained network, its weights rounded to values that int8 has.

    It has the architecture that ``prepare`` was given, and is written by ``kd.compress.quantize.static_int8``.
    """
    finished = copy.deepcopy(prepared)
    replaced = _replace(finished, _FINISH)
    assert replaced, "this network was not prepared"
    return finished


def ordinary_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return weights of a model as its ordinary form has them: rounded and without ranges if it was prepared."""
    if not any(type(module) in _FINISH for module in model.modules()):
        return weights
    prepared = copy.deepcopy(model)
    prepared.load_state_dict(weights)
    return finish(prepared).state_dict()


def round_weights(weights: Tensor) -> Tensor:
    """Round weights [output channels, ...] to 127 steps on each side of 0, one scale per channel."""
    scale = weights.detach().flatten(1).abs().amax(dim=1).clamp(min=1e-12) / WEIGHT_LEVELS
    zero = torch.zeros_like(scale)  # float: torch waits for the device to check the range of an integer one
    rounded: Tensor = torch.fake_quantize_per_channel_affine(weights, scale, zero, 0, -WEIGHT_LEVELS, WEIGHT_LEVELS)
    return rounded


class InputRange(nn.Module):
    """Rounds a tensor to 256 values between ``low`` <= 0 and ``high`` >= 0, which follow the batches in training."""

    low: Tensor
    high: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    def forward(self, values: Tensor) -> Tensor:
        """Return rounded values, float32; before the first training batch, the values themselves."""
        values = values.float()
        if self.training:
            self._follow(values.detach())
        scale = ((self.high - self.low) / INPUT_LEVELS).clamp(min=1e-12)
        zero = (-self.low / scale).round().clamp(0, INPUT_LEVELS).to(torch.int32)
        rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, INPUT_LEVELS)
        return torch.where(self.seen, rounded, values)

    @torch.no_grad()
    def _follow(self, values: Tensor) -> None:
        """Move the range towards that of a batch, without waiting for the device; the first batch sets it."""
        low, high = values.aminmax()
        step = torch.where(self.seen, RANGE_MOMENTUM, 1.0)
        self.low += step * (low.clamp(max=0) - self.low)
        self.high += step * (high.clamp(min=0) - self.high)
        self.seen.fill_(True)


class FakeInt8Conv2d(nn.Conv2d):
    """A convolution that rounds its weights and its input."""

    input_range: InputRange

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [B, C, H, W]."""
        output: Tensor = self._conv_forward(self.input_range(input), round_weights(self.weight), self.bias)
        return output


class FakeInt8Linear(nn.Linear):
    """A linear layer that rounds its weights and its input."""

    input_range: InputRange

    def forward(self, input: Tensor) -> Tensor:
        """Map [B, ..., inputs] to [B, ..., outputs]."""
        return F.linear(self.input_range(input), round_weights(self.weight), self.bias)


_PREPARE: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: FakeInt8Conv2d, nn.Linear: FakeInt8Linear}
_FINISH: dict[type[nn.Module], type[nn.Module]] = {rounding: plain for plain, rounding in _PREPARE.items()}


def _replace(model: nn.Module, forms: dict[type[nn.Module], type[nn.Module]]) -> int:
    """Give every layer of exactly these types its other form, in place; return how many there were."""
    layers = [layer for layer in model.modules() if type(layer) in forms]
    for layer in layers:
        _convert(layer, forms[type(layer)])
    return len(layers)


def _convert(layer: Any, form: type[nn.Module]) -> None:
    """Turn a layer into its other form. The object stays, so that its hooks and its place in the network do."""
    if form in _FINISH:
        layer.__class__ = form
        layer.input_range = InputRange().to(layer.weight.device)
        layer.input_range.train(layer.training)
    else:
        with torch.no_grad():
            layer.weight.copy_(round_weights(layer.weight))
        del layer.input_range
        layer.__class__ = form
