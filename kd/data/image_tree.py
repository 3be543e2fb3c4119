"""Class-folder data sets, ``train/<class>/<image>`` and ``test/<class>/<image>``, in a folder or an archive.

Images are decoded from memory into one array of bytes on a few threads. Classes and images are in sorted
order of their names, so the same tree gives the same arrays, packed in whatever order.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kd.data.archive import read_files
from kd.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # no others: some of Pillow's readers start programs
_CHUNK = 512  # images per task of a thread
_MAX_THREADS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How images are to come out: ``size`` x ``size``, 1 (grey) or 3 (RGB) channels.

    With ``resize`` other sizes are scaled (shorter side to ``size``) and cut to the centre square; without,
    refused.
    """

    size: int
    channels: int
    resize: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageTree:
    """What a class-folder tree holds: uint8 [N, C, H, W] in channels-last memory, int64 [N], class names."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


class _Place(NamedTuple):
    """Where in the tree a file lies: ``top`` is what precedes train/ and test/."""

    top: str
    part: str
    class_name: str


def read_image_tree(source: Path, decoding: Decoding) -> ImageTree:
    """Read a folder or archive of class folders, perhaps inside one outer folder.

    Raises DataError naming the file at fault.
    """
    return image_tree(source, read_files(source, is_tree_image), decoding)


def is_tree_image(path: str) -> bool:
    """Return whether a path is that of an image in class folders."""
    return _place(path) is not None


def image_tree(source: Path, files: Mapping[str, bytes], decoding: Decoding) -> ImageTree:
    """Decode the files of a tree, already read; ``source`` is for error lines. Raises DataError as above."""
    places = {path: place for path in files if (place := _place(path))}
    classes = _classes(source, places)
    label_of = {name: label for label, name in enumerate(classes)}

    def part(name: str) -> tuple[Tensor, Tensor]:
        chosen = [path for path, place in places.items() if place.part == name]
        labels = torch.tensor([label_of[places[path].class_name] for path in chosen])
        return _decode_all(source, {path: files[path] for path in chosen}, decoding), labels

    train_images, train_labels = part("train")
    test_images, test_labels = part("test")
    return ImageTree(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=classes,
    )


def _place(path: str) -> _Place | None:
    """Return where an image of the tree lies; None for other files and the hidden files of desktop
    systems.
    """
    parts = path.split("/")
    if not path.lower().endswith(IMAGE_SUFFIXES) or len(parts) < 3 or parts[-3] not in ("train", "test"):
        return None
    if path.startswith((".", "__MACOSX")) or "/." in path:
        return None
    return _Place("/".join(parts[:-3]), parts[-3], parts[-2])


def _classes(source: Path, places: Mapping[str, _Place]) -> tuple[str, ...]:
    """Return the sorted class names; raise DataError unless the images form one tree with both parts."""
    train = {place.class_name for place in places.values() if place.part == "train"}
    test = {place.class_name for place in places.values() if place.part == "test"}
    if not train or not test:
        kinds = " ".join(IMAGE_SUFFIXES)
        raise DataError(f"{source}: images ({kinds}) are needed under train/<class>/ and test/<class>/")
    tops = sorted({place.top or "." for place in places.values()})
    if len(tops) > 1:
        raise DataError(f"{source}: holds more than one data set ({', '.join(tops)}); name one")
    if test - train:
        raise DataError(f"{source}: test/ has classes that train/ has not: {', '.join(sorted(test - train))}")
    return tuple(sorted(train))


def _decode_all(source: Path, files: Mapping[str, bytes], decoding: Decoding) -> Tensor:
    """Decode image files into uint8 [N, C, H, W]; Pillow lets go of the interpreter lock while it decodes."""
    names = list(files)
    images = np.empty((len(names), decoding.size, decoding.size, decoding.channels), dtype=np.uint8)

    def decode(number: int) -> None:
        name = names[number]
        images[number] = decode_image(f"{source}: '{name}'", files[name], decoding)

    in_threads(decode, len(names))
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Do ``work`` for every number below ``count``, many to a task of a thread; raise the first error."""

    def chunk(start: int) -> None:
        for number in range(start, min(start + _CHUNK, count)):
            work(number)

    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        list(pool.map(chunk, range(0, count, _CHUNK)))


def decode_image(name: str, data: bytes, decoding: Decoding) -> NDArray[np.uint8]:
    """Decode one image file into uint8 [H, W, C]; ``name`` is for error lines. Raises DataError if it is none."""
    size, mode = decoding.size, "L" if decoding.channels == 1 else "RGB"
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.size != (size, size) and not decoding.resize:
                raise DataError(f"{name} is {image.width}x{image.height}; {size}x{size} is needed")
            converted = image if image.mode == mode else image.convert(mode)
            fitted = converted if image.size == (size, size) else _centre_square(converted, size)
            return np.asarray(fitted).reshape(size, size, decoding.channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is no image that can be read ({error})") from error


def _centre_square(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of an image, scaled to ``size``."""
    shorter = min(image.size)
    left, top = (image.width - shorter) // 2, (image.height - shorter) // 2
    square = (left, top, left + shorter, top + shorter)
    return image.crop(square).resize((size, size), Image.Resampling.BILINEAR)
