"""What the random changes of training images cannot be: unknown, two crops at once, or as wide as an image."""

from __future__ import annotations

from collections.abc import Iterator

from kd.jobfile.faults import named_faults
from kd.jobfile.schema import Augment
from kd.jobfile.shapes import Shape
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault


def augment_faults(augment: Augment, shape: Shape | None, address: Address) -> Iterator[Fault]:
    """Yield what is wrong with the user's own, two crops at once, and what can leave nothing of an image."""
    if (own := augment.own) is not None:
        yield from named_faults("augmentation", own.name, own.arguments, (*address, "own"), ["name"])
    if augment.crop and augment.resized_crop:
        message = "'crop' and 'resized_crop' both say which part of an image is seen; leave one out"
        yield (*address, "resized_crop"), message
    if shape and augment.crop >= shape.size:
        message = f"a crop of {augment.crop} pixels can leave nothing of an image of {shape.size} pixels a side"
        yield (*address, "crop"), message
    if shape and augment.cutout >= shape.size:
        message = f"a square of {augment.cutout} pixels can blank an image of {shape.size} pixels a side"
        yield (*address, "cutout"), message
