"""Feature taps that a job file chooses: a name for the output of any module of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from kd.errors import SpecError, did_you_mean

TAPS = "taps"  # the argument of every model that holds them


def set_taps(model: nn.Module, taps: Mapping[str, str]) -> None:
    """Declare these taps, from a name to the path of a module, instead of those that the network declares itself.

    Maps are named as one likes and stand early to late; ``pooled`` is what the classifier sees. Raises SpecError when
    there is no such module.
    """
    modules = [name for name, _ in model.named_modules() if name]
    if unknown := [path for path in taps.values() if path not in modules]:
        nearest = did_you_mean(unknown[0], modules)
        raise SpecError([f"taps: {type(model).__name__} has no module '{unknown[0]}'{nearest}"])
    model.feature_taps = dict(taps)  # type: ignore[assignment]  # modules take attributes of any type
