"""What is for images of one class, and what for images that may have several labels. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

# what only an image of one class has; the memory behind indices_B knows images by their class
_OF_ONE_CLASS = ("labels_B", "indices_B")
# weightings of teachers that read no softmax
_OF_ANY = ("uniform", "fixed")


def label_kind(inputs: Iterable[str]) -> str | None:
    """Return the images a loss is for: "single" label, "multi" label, or None where it takes both.

    The axes in the names say it: [B, C] is one softmax over the classes, [B, K] a sigmoid for each label.
    """
    named = tuple(inputs)
    if any(name.endswith("_BK") for name in named):
        return "multi"
    return "single" if any(name.endswith("_BC") or name in _OF_ONE_CLASS for name in named) else None


def loss_misfit(name: str, inputs: Iterable[str], *, multi_label: bool) -> str | None:
    """Return why a loss does not fit the images of a data set, or None."""
    kind = label_kind(inputs)
    if kind == "single" and multi_label:
        return f"loss '{name}' is for images of one class, and these may have several labels: use bce, binary_kd"
    if kind == "multi" and not multi_label:
        return f"loss '{name}' is for images of several labels, and these have one class each: use ce, kd"
    return None


def weighting_misfit(name: str, *, multi_label: bool) -> str | None:
    """Return why a weighting of teachers does not fit the images of a data set, or None."""
    if multi_label and name not in _OF_ANY:
        return f"weighting '{name}' is for images of one class, and these may have several labels: use uniform or fixed"
    return None


def sampling_misfit(sampling: str | None, losses: Iterable[str], *, multi_label: bool) -> str | None:
    """Return why a way to draw images does not fit a data set or the losses, or None."""
    if sampling is None:
        return None
    if multi_label:
        return f"sampling '{sampling}' is for images of one class, and these may have several labels: use balanced_bce"
    if "balanced_ce" in losses:
        return f"sampling '{sampling}' and loss 'balanced_ce' both make up for uneven classes: use one"
    return None
