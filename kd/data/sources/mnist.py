"""MNIST (LeCun et al. 1998): 70,000 grey images of 28 x 28, from its four idx files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kd.data.arrays import ImageArrays
from kd.errors import DataError

__all__ = ["mnist"]

# Of all pixels of the 60,000 training images.
MEAN, STD = 0.1307, 0.3081

_FOLDERS = (".", "raw", "MNIST/raw")
MAX_VALUES = 1 << 30  # EMNIST, the largest of this kind, has half as many
_CHUNK = 16 << 20
_IMAGES, _LABELS = 2051, 2049  # idx magic numbers: unsigned bytes in three dimensions, in one


def mnist(root: Path | None) -> ImageArrays:
    """MNIST digits: 10 classes, 28 x 28 grey, 60,000 to train and 10,000 to test.

    ``root``, ``root/raw`` or ``root/MNIST/raw`` holds train-images-idx3-ubyte and the other three, plain or
    .gz. Raises DataError naming the file that is missing or damaged.
    """
    if root is None:
        raise DataError("data set mnist needs data.root: the folder of its four idx files")
    train_images, train_labels = _read_part(root, "train")
    test_images, test_labels = _read_part(root, "t10k")
    return ImageArrays(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=tuple("0123456789"),
        mean=(MEAN,),
        std=(STD,),
    )


def _read_part(root: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, 1, H, W] and labels int64 [N] of one part."""
    images = _read_idx(_find(root, f"{part}-images-idx3-ubyte"), _IMAGES).unsqueeze(1)
    labels = _read_idx(_find(root, f"{part}-labels-idx1-ubyte"), _LABELS).to(torch.int64)
    return images, labels


def _find(root: Path, name: str) -> Path:
    """Return the path of an idx file, gzipped or not."""
    for folder in _FOLDERS:
        for path in (root / folder / f"{name}.gz", root / folder / name):
            if path.is_file():
                return path
    raise DataError(f"{root}: {name}[.gz] is missing; looked in {', '.join(_FOLDERS)}")


def _read_idx(path: Path, magic: int) -> Tensor:
    """Return the unsigned bytes of an idx file: big-endian magic, one 32-bit size per dimension, then the
    values.
    """
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(header)
            found = int.from_bytes(head[:4], "big")
            if len(head) >= 4 and found != magic:
                raise DataError(f"{path}: magic number {found} instead of {magic}; not the file its name says")
            if len(head) < header:
                raise DataError(f"{path}: cut off in its header")
            shape = struct.unpack(f">{dimensions}I", head[4:])
            size = math.prod(shape)
            if size > MAX_VALUES:  # before memory is taken: a few megabytes of .gz can hold gigabytes of zeros
                raise DataError(f"{path}: its header promises {size:,} values, more than the {MAX_VALUES:,} allowed")
            data = bytearray()
            while chunk := file.read(min(_CHUNK, size - len(data))):
                data += chunk
            more = len(file.read(1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or unreadable ({error})") from error
    if len(data) != size or more:
        bytes_found = f"more than {size:,}" if more else f"{len(data):,}"
        raise DataError(f"{path}: {bytes_found} bytes of values, but its header promises {size:,}")
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).reshape(shape))
