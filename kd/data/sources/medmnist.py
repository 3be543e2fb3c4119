"""MedMNIST (Yang et al. 2023): medical images, one .npz file per data set and size; read without unpickling.

Such a file holds train_images, val_images and test_images, uint8 [N, H, W, 3] or grey [N, H, W], and the same with
``_labels``, [N, 1] (chestmnist: [N, 14] of 0 and 1). The official training and validation parts together are the
training part here: docs/data.md.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from torch import Tensor

from kd.data.archive import require_ratio
from kd.data.arrays import ImageArrays, arrays_of, channel_statistics
from kd.data.medmnist_flags import FLAGS, find_file
from kd.errors import DataError

__all__ = ["medmnist"]

# What reading a damaged or hostile .npz raises; a pickle inside it is a ValueError, an absurd shape a MemoryError.
_DAMAGE = (OSError, EOFError, KeyError, ValueError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def medmnist(
    root: Path | None,
    *,
    flag: Literal[
        "pathmnist",
        "chestmnist",
        "dermamnist",
        "octmnist",
        "pneumoniamnist",
        "retinamnist",
        "breastmnist",
        "bloodmnist",
        "tissuemnist",
        "organamnist",
        "organcmnist",
        "organsmnist",
    ],
    size: Literal[28, 64, 128, 224] = 28,
) -> ImageArrays:
    """MedMNIST: twelve sets of medical images of 28 to 224 pixels; chestmnist has 14 labels per image.

    ``root`` is the .npz file of the ``flag`` and ``size``, or the folder that holds it under its official name
    (pathmnist.npz, pathmnist_64.npz). The training part is the official training and validation parts together; the
    test part is the official one. Raises DataError naming the file, and the array in it that is at fault.
    """
    source = find_file(root, flag, size)
    with _opened(source) as pack:
        parts = [_read_part(source, pack, part, flag, size) for part in ("train", "val", "test")]
    images, labels = (torch.cat(both) for both in zip(*parts[:2], strict=True))
    mean, std = channel_statistics(images)
    facts = FLAGS[flag]
    several = facts.multi_label
    return arrays_of(source, (images, labels), parts[2], classes=facts.names, mean=mean, std=std, multi_label=several)


@contextmanager
def _opened(source: Path) -> Iterator[NpzFile]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(source.open("rb"))  # NumPy would leave a damaged file open
            pack = np.load(file, allow_pickle=False)
            if isinstance(pack, NpzFile):
                members: list[zipfile.ZipInfo] = pack.zip.infolist()  # type: ignore[union-attr]
                unpacked = sum(member.file_size for member in members)
                require_ratio(source, unpacked, source.stat().st_size)
        except _DAMAGE as error:
            raise DataError(f"{source}: damaged, or no .npz file ({_first_line(error)})") from error
        if not isinstance(pack, NpzFile):
            raise DataError(f"{source}: a single array, no .npz file")
        yield opened.enter_context(pack)


def _read_part(source: Path, pack: NpzFile, part: str, flag: str, size: int) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, C, H, W] and labels of one part, checked against what the flag promises.

    Labels are int64 [N], or uint8 [N, K] of 0 and 1 where an image may have several.
    """
    facts = FLAGS[flag]
    channels = facts.channels
    images, labels = (_read_array(source, pack, f"{part}_{kind}") for kind in ("images", "labels"))
    shape = (size, size) if channels == 1 else (size, size, channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0:
        promised = ", ".join(map(str, ("N", *shape)))
        raise DataError(f"{source}: {part}_images is {_described(images)}, but {flag} has uint8 [{promised}]")
    answers = _read_labels(f"{source}: {part}_labels", labels, len(images), flag)
    planes = torch.from_numpy(np.ascontiguousarray(images)).view(len(images), size, size, channels).permute(0, 3, 1, 2)
    return planes, answers


def _read_labels(name: str, labels: NDArray[Any], count: int, flag: str) -> Tensor:
    """Return the labels of ``count`` images; ``name`` is for error lines."""
    facts = FLAGS[flag]
    per_image = labels.shape[1] if labels.ndim == 2 else 1
    expected = facts.classes if facts.multi_label else 1
    if labels.ndim in (1, 2) and len(labels) == count and per_image != expected:
        raise DataError(f"{name} has {per_image} labels per image, but {flag} has {expected}")
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or len(labels) != count:
        wanted = f"whole numbers, {'one' if expected == 1 else expected} for each of {count} images"
        raise DataError(f"{name} is {_described(labels)}, not {wanted}")
    values = 2 if facts.multi_label else facts.classes
    if labels.min() < 0 or labels.max() >= values:
        found = f"runs from {labels.min()} to {labels.max()}"
        has = "labels of 0 and 1" if facts.multi_label else f"{facts.classes} classes"
        raise DataError(f"{name} {found}, but {flag} has {has}")
    if facts.multi_label:
        return torch.from_numpy(labels.astype(np.uint8))
    return torch.from_numpy(labels.reshape(-1).astype(np.int64))


def _read_array(source: Path, pack: NpzFile, name: str) -> NDArray[Any]:
    if name not in pack.files:
        raise DataError(f"{source}: lacks {name}")
    try:
        array: NDArray[Any] = pack[name]
    except _DAMAGE as error:
        raise DataError(f"{source}: {name} is damaged or refused ({_first_line(error)})") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{source}: {name} is no array")
    return array


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
