"""The names of weights in other people's files, and how they become the names of a network here.

Wrappers of training scripts leave prefixes, and the well-known repositories of distillation call some layers otherwise.
Every way of reading a file's names is tried; the one that fits most of the network's names is taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

# nn.DataParallel, torch.compile, Lightning and other trainers, detection and self-supervision code
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
_COMPILED = "_orig_mod."  # also inside a name, where a part of a network was compiled


class Dialect(NamedTuple):
    """How one code base calls layers: patterns of its names, and what stands in their place here."""

    source: str
    rules: tuple[tuple[str, str], ...]


DIALECTS = (
    Dialect("", ()),
    Dialect(
        "wide ResNets of RepDistiller and mdistiller",
        ((r"^(block\d)\.layer\.", r"\1."), (r"\.convShortcut\.", ".shortcut.")),
    ),
    Dialect("VGG of RepDistiller and mdistiller", ((r"^classifier\.", "fc."),)),
    Dialect(
        "ResNet-18, -34 and -50 and ShuffleNet of RepDistiller and mdistiller",
        ((r"\.shortcut\.", ".downsample."), (r"^linear\.", "fc.")),
    ),
)


class Renamed(NamedTuple):
    """Weights under a network's names. ``prefix`` was taken off them, and their names were of ``source``."""

    weights: dict[str, Tensor]
    prefix: str
    source: str


def renamed(weights: Mapping[str, Tensor], own: Collection[str], *, inner: str = "") -> Renamed:
    """Return weights under the names that fit most of ``own``.

    ``inner`` is a further prefix that may stand before them. Of readings that fit equally well, the first is taken,
    which changes least.
    """
    wanted = frozenset(own)
    readings = [
        Renamed(_translated(unwrapped, dialect), prefix, dialect.source)
        for prefix, unwrapped in _unwrapped(weights, (*PREFIXES, inner) if inner else PREFIXES)
        for dialect in DIALECTS
    ]
    return max(readings, key=lambda reading: len(wanted.intersection(reading.weights)))


def _unwrapped(weights: Mapping[str, Tensor], prefixes: Collection[str]) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    """Yield what was taken off the names, and the weights then: nothing, one common prefix after the other, all."""
    taken = ""
    yield taken, weights
    while prefix := _common_prefix(weights, prefixes):
        plain = {name.removeprefix(prefix): value for name, value in weights.items()}
        if len(plain) < len(weights):  # two names became one
            return
        weights, taken = plain, taken + prefix
        yield taken, weights
    if any(_COMPILED in name for name in weights):
        yield taken + _COMPILED, {name.replace(_COMPILED, ""): value for name, value in weights.items()}


def _common_prefix(weights: Mapping[str, Tensor], prefixes: Collection[str]) -> str | None:
    """Return a prefix of most names: beside a backbone there may be a head that has none."""
    for prefix in prefixes:
        if 2 * sum(name.startswith(prefix) for name in weights) > len(weights):
            return prefix
    return None


def _translated(weights: Mapping[str, Tensor], dialect: Dialect) -> dict[str, Tensor]:
    return {_renamed(name, dialect.rules): value for name, value in weights.items()}


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
