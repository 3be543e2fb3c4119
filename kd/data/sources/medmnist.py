"""MedMNIST (Yang et al. 2023): medical images, one .npz file per data set and size; read without unpickling.

Such a file holds train_images, val_images and test_images, uint8 [N, H, W, 3] or grey [N, H, W], and the same with
``_labels``, [N, 1]. The official training and validation parts together are the training part here: docs/data.md.
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

from kd.data.arrays import ImageArrays, arrays_of, channel_statistics
from kd.data.medmnist_flags import FLAGS
from kd.errors import DataError

__all__ = ["medmnist"]

_USUAL_SIZE = 28  # the files of this size carry none in their names
# What reading a damaged or hostile .npz raises; a pickle inside it is a ValueError, an absurd shape a MemoryError.
_DAMAGE = (OSError, EOFError, KeyError, ValueError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def medmnist(
    root: Path | None,
    *,
    flag: Literal[
        "pathmnist",
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
    """MedMNIST: eleven sets of medical images of 28 to 224 pixels, 2 to 11 classes, colour or grey.

    ``root`` is the .npz file of the ``flag`` and ``size``, or the folder that holds it under its official name
    (pathmnist.npz, pathmnist_64.npz). The training part is the official training and validation parts together; the
    test part is the official one. Raises DataError naming the file, and the array in it that is at fault.
    """
    source = _find(root, flag, size)
    with _opened(source) as pack:
        parts = [_read_part(source, pack, part, flag, size) for part in ("train", "val", "test")]
    images, labels = (torch.cat(both) for both in zip(*parts[:2], strict=True))
    mean, std = channel_statistics(images)
    classes = tuple(str(number) for number in range(FLAGS[flag].classes))
    return arrays_of(source, (images, labels), parts[2], classes=classes, mean=mean, std=std)


def _find(root: Path | None, flag: str, size: int) -> Path:
    """Return the file to read: ``root`` itself or the one of the official name in it."""
    name = f"{flag}.npz" if size == _USUAL_SIZE else f"{flag}_{size}.npz"
    if root is None:
        raise DataError(f"data set medmnist needs data.root: {name} or its folder")
    if root.is_dir():
        if not (root / name).is_file():
            raise DataError(f"{root}: holds no {name}")
        return root / name
    if not root.is_file():
        raise DataError(f"{root}: no such file or folder")
    named = root.stem.partition("_")[0]
    if named != flag and named in (*FLAGS, "chestmnist"):
        raise DataError(f"{root}: is {named}, but data.flag is {flag}")
    return root


@contextmanager
def _opened(source: Path) -> Iterator[NpzFile]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(source.open("rb"))  # NumPy would leave a damaged file open
            pack = np.load(file, allow_pickle=False)
        except _DAMAGE as error:
            raise DataError(f"{source}: damaged, or no .npz file ({_first_line(error)})") from error
        if not isinstance(pack, NpzFile):
            raise DataError(f"{source}: a single array, no .npz file")
        yield opened.enter_context(pack)


def _read_part(source: Path, pack: NpzFile, part: str, flag: str, size: int) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, C, H, W] and labels int64 [N] of one part, checked against what the flag promises."""
    classes, channels = FLAGS[flag]
    images, labels = (_read_array(source, pack, f"{part}_{kind}") for kind in ("images", "labels"))
    shape = (size, size) if channels == 1 else (size, size, channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0:
        promised = ", ".join(map(str, ("N", *shape)))
        raise DataError(f"{source}: {part}_images is {_described(images)}, but {flag} has uint8 [{promised}]")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(f"{source}: {part}_labels has {labels.shape[1]} labels per image; only one can be learned here")
    if labels.dtype.kind not in "iu" or labels.size != len(images) or len(labels) != len(images):
        wanted = f"whole numbers, one for each of {len(images)} images"
        raise DataError(f"{source}: {part}_labels is {_described(labels)}, not {wanted}")
    if labels.min() < 0 or labels.max() >= classes:
        found = f"runs from {labels.min()} to {labels.max()}"
        raise DataError(f"{source}: {part}_labels {found}, but {flag} has {classes} classes")
    planes = torch.from_numpy(np.ascontiguousarray(images)).view(len(images), size, size, channels).permute(0, 3, 1, 2)
    return planes, torch.from_numpy(labels.reshape(-1).astype(np.int64))


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
