"""By which mean and deviation the pixels of a model's images are normalised, where it is not by those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from kd.errors import SpecError
from kd.library_networks import split_name
from kd.vision_libraries import import_vision

NORMALISATION = "normalisation"  # the argument of every model that chooses one

Statistics: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of pixels / 255, per channel

NAMED: Mapping[str, Statistics] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def normalisation_of(name: str, arguments: Mapping[str, Any], channels: int) -> Statistics | None:
    """Return what a model's arguments choose, or None for the statistics of the data.

    A network of timm or torchvision that starts from published weights is shown pixels as it was trained on, unless
    something else is chosen. Images of one channel get the mean over the colours. Raises SpecError for other channels,
    and for ``own`` where the network has none.
    """
    started = bool(arguments.get("pretrained")) and split_name(name) is not None
    chosen = arguments.get(NORMALISATION, "own" if started else "data")
    if chosen == "data":
        return None
    mean, deviation = NAMED[chosen] if chosen in NAMED else _own(name)
    if channels == 1:
        return (sum(mean) / len(mean),), (sum(deviation) / len(deviation),)
    if channels != len(mean):
        raise SpecError([f"{NORMALISATION}: '{chosen}' is for {len(mean)} channels, and the images have {channels}"])
    return mean, deviation


def _own(name: str) -> Statistics:
    """Return what the published weights of a network were trained with."""
    library, network = split_name(name) or ("", "")
    if library == "timm":
        described = import_vision("timm").get_pretrained_cfg(network)
        if described is not None:
            return tuple(described.mean), tuple(described.std)
    if library == "torchvision":
        transform = import_vision("torchvision.models").get_model_weights(network).DEFAULT.transforms()
        return tuple(transform.mean), tuple(transform.std)
    named = ", ".join(("data", *NAMED))
    raise SpecError([f"{NORMALISATION}: nothing is known of that of '{name}'; choose one of {named}"])
