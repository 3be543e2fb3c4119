"""Structured pruning: whole channels of least L1 norm leave a network, which is smaller and faster afterwards.

Filters are ranked by the sum of their absolute weights (Li et al. 2017, arXiv:1608.08710), over all layers that must
lose a channel together (DepGraph, arXiv:2301.12900, by torch-pruning). No masks: a mask shrinks nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters
from kd.errors import SpecError
from kd.models.widths import LAYERS, read_widths

PRUNABLE = (nn.Conv2d, nn.Linear)
# What torch-pruning, or the network afterwards, raises where channels are shuffled or regrouped by their number.
_LOST = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Parameters of a network, and its floating-point operations for one image."""

    parameters: int
    flops: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruning:
    """What pruning did. ``widths`` holds the layers it changed, in the form that a model card keeps.

    ``spared`` names the layers that kept all their output channels although they were to lose some.
    """

    before: Size
    after: Size
    widths: Mapping[str, tuple[int, ...]]
    spared: tuple[str, ...]


def prune_channels(model: nn.Module, image_CHW: Tensor, *, ratio: float = 0.4) -> Pruning:
    """Remove this fraction of the output channels of every layer but the classifier, in place.

    The same weights and ratio always lose the same channels. ``image_CHW`` is any image, to trace the network with.
    Raises SpecError on a ratio outside (0, 1) or one that would empty a layer, and on layers that cannot be pruned.
    """
    if not 0 < ratio < 1:
        raise SpecError([f"ratio: a fraction of the channels above 0 and below 1 is needed, not {ratio}"])
    classifier, logits = _classifier(model, image_CHW)
    for name in _unknown_layers(model):
        kind = type(model.get_submodule(name)).__name__
        raise SpecError(
            [f"layer '{name}' ({kind}) cannot be pruned: only convolutions, linear layers and batch norms can"]
        )
    prunable = {name: layer for name, layer in model.named_modules() if isinstance(layer, PRUNABLE)}
    del prunable[classifier]
    _refuse_empty(prunable, ratio)
    before, old = Size(parameters=count_parameters(model), flops=count_flops(model, image_CHW)), read_widths(model)
    try:
        _remove_channels(model, image_CHW, ratio, model.get_submodule(classifier))
        after = Size(parameters=count_parameters(model), flops=count_flops(model, image_CHW))
        assert _run(model, image_CHW).shape == logits.shape
    except _LOST as error:
        raise SpecError(
            [f"{type(model).__name__} cannot be pruned: torch-pruning does not follow its channels"]
        ) from error
    new = read_widths(model)
    return Pruning(
        before=before,
        after=after,
        widths={name: widths for name, widths in new.items() if widths != old[name]},
        spared=tuple(name for name in prunable if new[name][0] == old[name][0]),
    )


def _remove_channels(model: nn.Module, image_CHW: Tensor, ratio: float, classifier: nn.Module) -> None:
    import torch_pruning

    training = model.training
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.eval().requires_grad_(True)  # the dependencies are read off the graph of the gradient
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the library's own code are nobody's business here
        torch_pruning.pruner.BasePruner(
            model,
            image_CHW[None],
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            pruning_ratio=ratio,
            ignored_layers=[classifier],
            in_channel_groups={},  # the library's defaults are shared between calls and remember dead layers
            out_channel_groups={},
            num_heads={},
        ).step()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[name])
        parameter.grad = None
    model.train(training)


def _refuse_empty(prunable: Mapping[str, nn.Conv2d | nn.Linear], ratio: float) -> None:
    """Raise SpecError when some layer would keep no channel; the library would leave such a layer whole."""
    for name, layer in prunable.items():
        channels = int(layer.weight.shape[0])
        if int(channels * (1 - ratio)) < 1:
            most = int((1 - 1 / channels) * 100) / 100
            raise SpecError(
                [f"ratio: {ratio} would leave layer '{name}' none of its {channels} channels; use at most {most:g}"]
            )


def _classifier(model: nn.Module, image_CHW: Tensor) -> tuple[str, Tensor]:
    """Return the path of the layer that makes the logits, and logits [1, C]."""
    called: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: called.append(name))
        for name, layer in model.named_modules()
        if isinstance(layer, PRUNABLE)
    ]
    try:
        logits = _run(model, image_CHW)
    finally:
        for hook in hooks:
            hook.remove()
    if not called:
        raise SpecError([f"{type(model).__name__} has no convolution and no linear layer; there is nothing to prune"])
    return called[-1], logits


def _unknown_layers(model: nn.Module) -> Iterator[str]:
    """Yield the paths of modules with parameters of their own whose widths are not understood."""
    for name, layer in model.named_modules():
        if not isinstance(layer, LAYERS) and next(layer.parameters(recurse=False), None) is not None:
            yield name


@torch.no_grad()
def _run(model: nn.Module, image_CHW: Tensor) -> Tensor:
    training = model.training
    logits = model.eval()(image_CHW[None])
    model.train(training)
    assert isinstance(logits, Tensor)
    return logits
