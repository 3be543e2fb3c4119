"""The stages of a network that declares none: where its maps change their size, by watching one image pass through."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

MOST = 4  # stages; what comes before the last four is the stem
FEW = 3  # changes of size; a network with fewer is taken for a transformer
DEPTH = 2  # dots in the path of a sequence near the top


class Stage(NamedTuple):
    """The module that ends a stage. ``channels_last``: its maps are [B, H, W, C]."""

    path: str
    channels_last: bool


class _Output(NamedTuple):
    path: str
    side: int
    channels_last: bool


def find_stages(network: nn.Module, images_BCHW: Tensor) -> list[Stage]:
    """Return the ends of at most MOST stages, early to late; none where no chain of modules gives maps or tokens.

    The chain is that of the network's own children, or of a sequence near its top, in which the size changes most
    often; of a transformer, in which it never does, the longest. The network's mode stays as it is.
    """
    chains = [(name, module) for name, module in network.named_modules() if _is_chain(name, module)]
    outputs = _watch(network, [_paths(name, chain) for name, chain in chains], images_BCHW)
    chosen = max(outputs, key=_changes)
    if _changes(chosen) < FEW:
        chosen = max(outputs, key=len)
    return [Stage(chosen[index].path, chosen[index].channels_last) for index in spread([each.side for each in chosen])]


def spread(sizes: Sequence[int]) -> list[int]:
    """Return which of these ends of blocks end stages, given the size (or reduction) of their maps.

    A stage ends where the size changes. Blocks that are all of one size, those of a transformer, are divided evenly.
    """
    count = len(sizes)
    ends = [index for index in range(count) if index == count - 1 or sizes[index] != sizes[index + 1]]
    if len(ends) == 1 and count > 1:
        parts = min(MOST, count)
        return [-(-count * number // parts) - 1 for number in range(1, parts + 1)]
    return ends[-MOST:]


def _is_chain(name: str, module: nn.Module) -> bool:
    return not name or (isinstance(module, (nn.Sequential, nn.ModuleList)) and name.count(".") < DEPTH)


def _paths(name: str, chain: nn.Module) -> list[str]:
    return [f"{name}.{child}".lstrip(".") for child, _ in chain.named_children()]


def _changes(outputs: Sequence[_Output]) -> int:
    return sum(before.side != after.side for before, after in pairwise(outputs))


@torch.no_grad()
def _watch(network: nn.Module, chains: Sequence[Sequence[str]], images_BCHW: Tensor) -> list[list[_Output]]:
    """Return, by chain, what its modules put out that is a map or a row of tokens, in the order of their calls."""
    outputs: list[list[_Output]] = [[] for _ in chains]

    def note(number: int, path: str, module: nn.Module, given: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim not in (3, 4):
            return
        last = output.ndim == 4 and output.shape[1] == output.shape[2] != output.shape[3]
        side = output.shape[1] if output.ndim == 3 or last else output.shape[-1]
        if output.ndim == 3 or side > 1:
            outputs[number].append(_Output(path, side, last))

    hooks = [
        network.get_submodule(path).register_forward_hook(partial(note, number, path))
        for number, paths in enumerate(chains)
        for path in paths
    ]
    training = network.training
    try:
        network.eval()(images_BCHW)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return outputs
