"""Modalities: named groups of an image's channels, such as RGB and infrared, and choosing some of them.

Images of several modalities are one array with all their channels, so that a crop or a flip moves them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from kd.errors import SpecError, did_you_mean

# (name, channels) in the order in which the channels lie in an image
Modalities: TypeAlias = tuple[tuple[str, int], ...]


def one_modality(channels: int) -> Modalities:
    """Return the modalities of images that have only one."""
    return (("image", channels),)


def chosen_modalities(modalities: Modalities, names: Sequence[str] | None) -> Modalities:
    """Return the named ones in the images' own order; all where ``names`` is None. Raises SpecError on a stranger."""
    known = [name for name, _ in modalities]
    if names is None:
        return modalities
    if strangers := [name for name in names if name not in known]:
        raise SpecError([f"modalities: the data set has no '{strangers[0]}'{did_you_mean(strangers[0], known)}"])
    return tuple((name, channels) for name, channels in modalities if name in names)


def channels_of(modalities: Modalities, chosen: Modalities) -> list[int]:
    """Return the numbers of the channels of the ``chosen`` ones among those of all ``modalities``."""
    assert set(chosen) <= set(modalities)
    numbers: list[int] = []
    first = 0
    for name, channels in modalities:
        if (name, channels) in chosen:
            numbers += range(first, first + channels)
        first += channels
    return numbers
