"""The data sets of MedMNIST (Yang et al. 2023, https://doi.org/10.1038/s41597-022-01721-8) with one class per image.

Of its two-dimensional sets chestmnist is left out: it has fourteen yes-or-no labels per image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Flag(NamedTuple):
    """Classes and channels of one data set."""

    classes: int
    channels: int


FLAGS: Mapping[str, Flag] = {
    "pathmnist": Flag(classes=9, channels=3),
    "dermamnist": Flag(classes=7, channels=3),
    "octmnist": Flag(classes=4, channels=1),
    "pneumoniamnist": Flag(classes=2, channels=1),
    "retinamnist": Flag(classes=5, channels=3),
    "breastmnist": Flag(classes=2, channels=1),
    "bloodmnist": Flag(classes=8, channels=3),
    "tissuemnist": Flag(classes=8, channels=1),
    "organamnist": Flag(classes=11, channels=1),
    "organcmnist": Flag(classes=11, channels=1),
    "organsmnist": Flag(classes=11, channels=1),
}
