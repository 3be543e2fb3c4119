"""A classification data set as arrays in memory: bytes of pixels, labels, and what to normalise by.

Images are uint8 [N, C, H, W] in any memory layout; labels int64 [N]; ``mean`` and ``std`` are those of pixels
/ 255 per channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kd.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageArrays:
    """A data set with its own test part. Raises DataError when the parts do not fit each other."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            _check_part(part, images, labels, len(self.classes))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            shapes = f"{_shape(self.train_images)} in training, {_shape(self.test_images)} in test"
            raise DataError(f"images differ in shape: {shapes}")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise DataError(f"at least two classes of different names are needed, not {list(self.classes)}")
        if not len(self.mean) == len(self.std) == self.channels:
            counts = f"{len(self.mean)} means, {len(self.std)} deviations, {self.channels} channels"
            raise DataError(f"one mean and one deviation per channel are needed: {counts}")
        if min(self.std) <= 0:
            raise DataError(f"a channel without variation cannot be normalised: std {self.std}")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.train_images.shape[1]

    @property
    def image_size(self) -> int:
        """Height and width of an image, in pixels."""
        return self.train_images.shape[-1]


def _shape(images: Tensor) -> str:
    return "x".join(str(size) for size in images.shape[1:])


def _check_part(part: str, images: Tensor, labels: Tensor, num_classes: int) -> None:
    """Raise DataError unless images and labels of one part have the promised types, shapes and range."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"{part} images must be uint8 [N, C, H, W], not {images.dtype} {list(images.shape)}")
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DataError(f"{part} labels must be int64 [N], not {labels.dtype} {list(labels.shape)}")
    if len(images) != len(labels):
        raise DataError(f"{len(images)} {part} images but {len(labels)} {part} labels")
    if len(images) == 0:
        raise DataError(f"the {part} part is empty")
    if images.shape[2] != images.shape[3] or images.shape[2] == 0 or images.shape[1] == 0:
        raise DataError(f"{part} images must be square and not empty, not {_shape(images)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(f"{part} labels run from {low} to {high}, but there are {num_classes} classes")


@contextmanager
def faults_named(source: Path) -> Iterator[None]:
    """Put the file's name before the DataError of a data set that is made of it."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def channel_statistics(images_NCHW: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of pixels / 255 per channel, exact: counted in integers."""
    means, deviations = [], []
    for channel in range(images_NCHW.shape[1]):
        counts = torch.bincount(images_NCHW[:, channel].flatten(), minlength=256).tolist()
        total = sum(counts)
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means.append(first / total / 255)
        deviations.append((second * total - first * first) ** 0.5 / total / 255)
    return tuple(means), tuple(deviations)
