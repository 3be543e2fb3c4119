"""A classification data set as arrays in memory: bytes of pixels, labels, and what to normalise by.

Images are uint8 [N, C, H, W] in any memory layout; labels int64 [N], or uint8 [N, K] of 0 and 1 where an image may
have several labels. ``mean`` and ``std`` are those of pixels / 255 per channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from kd.data.modalities import Modalities, channels_of, chosen_modalities, one_modality
from kd.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageArrays:
    """A data set with its own test part. Raises DataError when the parts do not fit each other.

    ``classes`` names the classes, or the labels where there is ``multi_label``. ``modalities`` name the groups of
    channels; not given, all are one.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multi_label: bool = False
    modalities: Modalities = ()

    def __post_init__(self) -> None:
        if not self.modalities:
            object.__setattr__(self, "modalities", one_modality(self.channels))
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            _check_images(part, images, labels)
            (_check_label_sets if self.multi_label else _check_labels)(part, labels, len(self.classes))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            shapes = f"{_shape(self.train_images)} in training, {_shape(self.test_images)} in test"
            raise DataError(f"images differ in shape: {shapes}")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < (1 if self.multi_label else 2):
            needed = "labels" if self.multi_label else "at least two classes"
            raise DataError(f"{needed} of different names are needed, not {list(self.classes)}")
        if sum(channels for _, channels in self.modalities) != self.channels:
            raise DataError(f"the modalities {self.modalities} do not add up to {self.channels} channels")
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

    def seen_by(self, names: Sequence[str] | None) -> ImageArrays:
        """Return the same data with the channels of these modalities alone; of None, all. Raises SpecError."""
        chosen = chosen_modalities(self.modalities, names)
        if chosen == self.modalities:
            return self
        numbers = channels_of(self.modalities, chosen)
        return replace(
            self,
            train_images=self.train_images[:, numbers],
            test_images=self.test_images[:, numbers],
            mean=tuple(self.mean[number] for number in numbers),
            std=tuple(self.std[number] for number in numbers),
            modalities=chosen,
        )


def _shape(images: Tensor) -> str:
    return "x".join(str(size) for size in images.shape[1:])


def _check_images(part: str, images: Tensor, labels: Tensor) -> None:
    """Raise DataError unless the images of one part have the promised type and shape, and are as many as labels."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"{part} images must be uint8 [N, C, H, W], not {images.dtype} {list(images.shape)}")
    if len(images) != len(labels):
        raise DataError(f"{len(images)} {part} images but {len(labels)} {part} labels")
    if len(images) == 0:
        raise DataError(f"the {part} part is empty")
    if images.shape[2] != images.shape[3] or images.shape[2] == 0 or images.shape[1] == 0:
        raise DataError(f"{part} images must be square and not empty, not {_shape(images)}")


def _check_labels(part: str, labels: Tensor, num_classes: int) -> None:
    """Raise DataError unless each label is the number of a class."""
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DataError(f"{part} labels must be int64 [N], not {labels.dtype} {list(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(f"{part} labels run from {low} to {high}, but there are {num_classes} classes")


def _check_label_sets(part: str, labels: Tensor, num_labels: int) -> None:
    """Raise DataError unless each image says yes or no to every label."""
    if labels.dtype != torch.uint8 or labels.ndim != 2 or labels.shape[1] != num_labels:
        raise DataError(f"{part} labels must be uint8 [N, {num_labels}], not {labels.dtype} {list(labels.shape)}")
    if int(labels.max()) > 1:
        raise DataError(f"{part} labels must be 0 or 1, not {int(labels.max())}")


Part = tuple[Tensor, Tensor]  # images uint8 [N, C, H, W], labels int64 [N] or uint8 [N, K]


def arrays_of(
    source: Path | str,
    train: Part,
    test: Part,
    *,
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    multi_label: bool = False,
) -> ImageArrays:
    """Return the data set that was read from a file, or given by code; its faults name that place before them."""
    try:
        return ImageArrays(
            train_images=train[0],
            train_labels=train[1],
            test_images=test[0],
            test_labels=test[1],
            classes=classes,
            mean=mean,
            std=std,
            multi_label=multi_label,
        )
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
