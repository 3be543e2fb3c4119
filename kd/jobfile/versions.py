"""Declared versions of the code that decides results. Raise one when its change alters what a stage would compute.

They enter the fingerprints, so that a stage trained by older code is not taken for one trained by this code, while a
new docstring or a faster log line retrains nothing.

Each stage kind lists the layers that it stands on in its own file, ``kd/jobfile/kinds/<kind>.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

Layer: TypeAlias = Literal["data", "models", "losses", "train", "distill", "compress", "search", "report"]
VERSIONS: dict[Layer, int] = {
    "data": 1,
    "models": 1,
    "losses": 2,
    "train": 1,
    "distill": 1,
    "compress": 1,
    "search": 1,
    "report": 1,
}
# Declared versions of single data sets, from 2 on, for a change that leaves the images of all others as they are.
# image_folder and paired_frames 2: nested folders are read, EXIF turns images, 16 bits are scaled, transparent parts
# are white. medmnist 2: its classes have names.
DATA_SETS = {"image_folder": 2, "medmnist": 2, "paired_frames": 2}
# Declared versions of single losses, likewise. review 2: the teacher's maps are those before the activation. dist 2:
# correlations have the authors' epsilon. nkd, kd_standardised 2: several teachers are mixed after their own transform.
LOSSES = {"dist": 2, "kd_standardised": 2, "nkd": 2, "review": 2}
# Arguments that losses got later, with the value that leaves them as they were: it does not count.
LATER_ARGUMENTS = {"distance": "squared", "standardise": False}


def versions_of(layers: Iterable[Layer]) -> dict[Layer, int]:
    """Return the declared versions of the layers that a stage kind uses."""
    return {layer: VERSIONS[layer] for layer in layers}


def version_of_data(name: str) -> dict[str, int]:
    """Return the declared version of a data set where it has one of its own."""
    return {"version": DATA_SETS[name]} if name in DATA_SETS else {}


def version_of_loss(name: str) -> dict[str, int]:
    """Return the declared version of a loss where it has one of its own."""
    return {"version": LOSSES[name]} if name in LOSSES else {}
