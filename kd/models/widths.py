"""The widths of a network's layers: read from one, and set on a freshly built one before its weights are loaded.

A pruned network is its catalogue entry plus the widths that differ from it. A convolution's are (output channels,
input channels, groups), those of a linear layer (outputs, inputs), those of a batch norm (features).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from torch import nn

from kd.errors import CheckpointError

Widths: TypeAlias = Mapping[str, tuple[int, ...]]  # by the layer's path in the network

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
LAYERS = (nn.Conv2d, nn.Linear, *NORMS)


def read_widths(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the widths of every layer that has some."""
    return {name: _widths(layer) for name, layer in model.named_modules() if isinstance(layer, LAYERS)}


def set_widths(model: nn.Module, widths: Widths) -> None:
    """Cut the named layers of a network down to ``widths``, in place; their first channels stay.

    Raises CheckpointError when a layer is missing or narrower than asked for.
    """
    layers = dict(model.named_modules())
    for name, wanted in widths.items():
        layer = layers.get(name)
        if not isinstance(layer, LAYERS):
            raise CheckpointError(f"{type(model).__name__} has no layer '{name}' to set the widths of")
        own = _widths(layer)
        if len(own) != len(wanted) or any(not 1 <= new <= old for new, old in zip(wanted, own, strict=True)):
            raise CheckpointError(f"layer '{name}' has widths {list(own)} and cannot be cut down to {list(wanted)}")
        _cut(layer, wanted)


def _widths(layer: nn.Module) -> tuple[int, ...]:
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels, layer.in_channels, layer.groups
    if isinstance(layer, nn.Linear):
        return layer.out_features, layer.in_features
    assert isinstance(layer, NORMS)
    return (layer.num_features,)


def _cut(layer: nn.Module, wanted: tuple[int, ...]) -> None:
    """Set the widths of one layer, its parameters and its buffers."""
    if isinstance(layer, nn.Conv2d):
        layer.out_channels, layer.in_channels, layer.groups = wanted
        _cut_tensors(layer, wanted[0], wanted[1] // wanted[2])
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = wanted
        _cut_tensors(layer, *wanted)
    else:
        assert isinstance(layer, NORMS)
        (layer.num_features,) = wanted
        _cut_tensors(layer, *wanted)


def _cut_tensors(layer: nn.Module, outputs: int, inputs: int | None = None) -> None:
    for name, parameter in layer.named_parameters(recurse=False):
        kept = parameter.detach()[:outputs]
        if kept.ndim > 1:
            kept = kept[:, :inputs]
        setattr(layer, name, nn.Parameter(kept.clone(), requires_grad=parameter.requires_grad))
    for name, buffer in layer.named_buffers(recurse=False):
        if buffer.ndim:
            setattr(layer, name, buffer[:outputs].clone())
