"""The shape of a data set's images, where it is known before the data is read."""

from __future__ import annotations

from typing import NamedTuple

from kd import catalog
from kd.data.medmnist_flags import FLAGS
from kd.jobfile.schema import Data
from kd.user_code.names import split_name, whole_name


class Shape(NamedTuple):
    """Classes, channels and pixels a side; the names of the modalities, and whether the classes are labels.

    No modalities are given where there is only one.
    """

    classes: int
    channels: int
    size: int
    modalities: tuple[str, ...] = ()
    multi_label: bool = False

    def __str__(self) -> str:
        what = "labels" if self.multi_label else "classes"
        return f"{self.classes} {what} of {self.channels} x {self.size} x {self.size} images"


USUAL = Shape(classes=10, channels=3, size=32)
SHAPES = {
    "digits": Shape(classes=10, channels=1, size=8),
    "mnist": Shape(classes=10, channels=1, size=28),
    "cifar10": USUAL,
}
FRAMES = ("paired_frames", "synthetic_rgb_ir")  # RGB and infrared, several labels per image


def image_shape(data: Data) -> Shape | None:
    """Return the shape that a data set's name and arguments declare, or None when only its files tell."""
    if data.name in SHAPES:
        return SHAPES[data.name]
    if split_name(data.name) or whole_name(data.name):
        return None  # the user's own: only the job reads it
    arguments = catalog.resolve_arguments("dataset", data.name, data.arguments)
    if data.name == "cifar100":
        return Shape(classes=20 if arguments["coarse"] else 100, channels=3, size=32)
    if data.name == "medmnist":
        flag = FLAGS[arguments["flag"]]
        return Shape(flag.classes, flag.channels, size=arguments["size"], multi_label=flag.multi_label)
    if data.name in FRAMES:
        labels, size = arguments["labels"], arguments["size"]
        return Shape(classes=len(labels), channels=4, size=size, modalities=("rgb", "ir"), multi_label=True)
    if "size" not in arguments:
        return None
    channels = 1 if arguments.get("grey") else USUAL.channels
    labels = arguments.get("labels")
    return Shape(
        classes=len(labels) if labels else arguments.get("classes", USUAL.classes),
        channels=arguments.get("channels", channels),
        size=arguments["size"],
        multi_label=bool(labels),
    )
