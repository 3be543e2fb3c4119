"""A data set of the user's own, imported in the job: whatever it gives becomes arrays of pixels and labels.

It gives a training and a test part, as ``(train, test)`` or ``{"train": …, "test": …, "classes": […]}``. A part is
``(images, labels)`` as arrays or tensors, or anything with a length that gives ``(image, label)``, as torch's and
torchvision's data sets do. An image is a PIL image, or a tensor [C, H, W] or array [H, W(, C)] of bytes or of numbers
from 0 to 1. Names of classes come from ``classes``, there or on the training part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd.data.arrays import ImageArrays, arrays_of, channel_statistics
from kd.errors import DataError
from kd.user_code.definitions import read_entry
from kd.user_code.importing import import_entry, users_errors

CHANNELS = (1, 3, 4)  # by which channels first are told from channels last
_EXPECTED = "(train, test) or {'train': ..., 'test': ..., 'classes': [...]}"


def user_images(root: Path | None, *, module: str, attribute: str, **arguments: Any) -> ImageArrays:
    """Import ``module`` and call its ``attribute`` with the root, where it takes one, and the arguments.

    Raises SpecError, with the line of the user's file, for what it raises, DataError when it gives no data set.
    """
    found = read_entry("dataset", module, attribute)
    function, place = import_entry(module, attribute), f"{found.source.place}:{found.line}: {found.name}"
    supplied = {"root": None if root is None else str(root)} if "root" in found.signature.supplied else {}
    with users_errors(found.name, module):
        given = function(**supplied, **arguments)
        if isinstance(given, ImageArrays):
            return given
        train, test, classes = _parts(given, place)
        parts = [_part(part, f"{place}: {name}") for name, part in (("train", train), ("test", test))]
    return _arrays(parts[0], parts[1], classes, place)


def _parts(given: Any, place: str) -> tuple[Any, Any, Sequence[str] | None]:
    """Return the training part, the test part and the names of the classes, if there are any."""
    if isinstance(given, Mapping):
        if missing := [name for name in ("train", "test") if name not in given]:
            raise DataError(f"{place} gives no '{missing[0]}'; expected {_EXPECTED}")
        train, test, classes = given["train"], given["test"], given.get("classes")
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        (train, test), classes = given, None
    else:
        raise DataError(f"{place} gives {type(given).__name__}; expected {_EXPECTED}")
    return train, test, classes if classes is not None else getattr(train, "classes", None)


def _part(given: Any, place: str) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, C, H, W] and labels of one part."""
    if isinstance(given, (tuple, list)) and len(given) == 2 and hasattr(given[0], "shape"):
        images, labels = given
        return _pixels(images, place, batch=True), _labels(labels)
    if not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        raise DataError(f"{place}: {type(given).__name__} has no length and no items; expected (image, label) items")
    pairs = [given[number] for number in range(len(given))]
    images_CHW = [_pixels(image, f"{place}: image {number}") for number, (image, _) in enumerate(pairs)]
    shapes = {tuple(image.shape) for image in images_CHW}
    if len(shapes) > 1:
        other = next(number for number, image in enumerate(images_CHW) if image.shape != images_CHW[0].shape)
        sizes = f"{list(images_CHW[0].shape)} and image {other} of {list(images_CHW[other].shape)}"
        raise DataError(f"{place}: image 0 is of {sizes}; resize them to one size")
    if not images_CHW:
        raise DataError(f"{place}: no images")
    return torch.stack(images_CHW), _labels([label for _, label in pairs])


def _pixels(image: Any, place: str, *, batch: bool = False) -> Tensor:
    """Return an image [C, H, W], or a batch of them, as bytes."""
    channels_first = isinstance(image, Tensor)
    values = image if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
    if values.ndim == 2 + batch:
        values = values.unsqueeze(-3)
    elif values.ndim != 3 + batch:
        raise DataError(f"{place}: {list(values.shape)} is no {'batch of images' if batch else 'image'}")
    elif _channels_last(values, usually=not channels_first):
        values = values.movedim(-1, -3)
    if values.dtype == torch.uint8:
        return values.contiguous()
    if values.is_floating_point() and float(values.min()) >= 0 and float(values.max()) <= 1:
        return (values * 255).round().to(torch.uint8)
    raise DataError(
        f"{place}: {values.dtype} from {values.min():g} to {values.max():g}; give bytes, or numbers from 0 to 1 "
        "that are not normalised (kd normalises them)".replace("torch.", "")
    )


def _channels_last(values: Tensor, *, usually: bool) -> bool:
    """Whether the channels are the last axis: whichever of the two has a usual number, else as ``usually``."""
    first, last = values.shape[-3] in CHANNELS, values.shape[-1] in CHANNELS
    return usually if first == last else last


def _labels(labels: Any) -> Tensor:
    """Return labels int64 [N], or uint8 [N, K]."""
    values = labels if isinstance(labels, Tensor) else torch.from_numpy(np.array(labels))
    return values.to(torch.int64) if values.ndim == 1 else values.to(torch.uint8)


def _arrays(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: Sequence[str] | None, place: str
) -> ImageArrays:
    multi_label = train[1].ndim == 2
    count = train[1].shape[1] if multi_label else int(max(train[1].max(), test[1].max())) + 1
    names = tuple(map(str, range(count))) if classes is None else tuple(map(str, classes))
    mean, std = channel_statistics(train[0])
    return arrays_of(place, train, test, classes=names, mean=mean, std=std, multi_label=multi_label)
