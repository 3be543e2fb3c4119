"""CIFAR-10 (Krizhevsky 2009): 60,000 colour images of 32 x 32; official files or images in class folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kd.data.archive import ARCHIVE_SUFFIXES, read_files
from kd.data.arrays import ImageArrays
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.image_tree import Decoding, image_tree, is_tree_image
from kd.data.plain_pickle import PickledArray, load_plain
from kd.errors import DataError

__all__ = ["cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of all pixels of the 50,000 official training images. The often seen deviations (0.2023, 0.1994, 0.2010) are
# means of the deviations of single images, which is not what normalising needs.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

_OFFICIAL = "cifar-10-batches-py"
_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_BATCH = "test_batch"
_SIZE = 32


def cifar10(root: Path | None) -> ImageArrays:
    """CIFAR-10: 10 classes, 32 x 32 colour, 50,000 to train and 10,000 to test.

    ``root`` is the official folder or cifar-10-python.tar.gz, a folder or archive of train/<class>/ and
    test/<class>/, a file that kd.data.prepare made, or a folder that holds one of these. Archives are read as
    they are, never unpacked. Raises DataError naming the file at fault, or what was looked for.
    """
    source = _find(root)
    if source.suffix == SUFFIX:
        return _checked(read_decoded(source), source)
    files = read_files(source, lambda path: _batch_name(path) is not None or is_tree_image(path))
    batches = {name: data for path, data in files.items() if (name := _batch_name(path))}
    if batches:
        train, test = _official(source, batches)
    else:
        tree = image_tree(source, files, Decoding(size=_SIZE, channels=3, resize=False))
        if tree.classes != CLASSES:
            found = ", ".join(tree.classes)
            raise DataError(f"{source}: classes are {found}; for other data use image_folder")
        train, test = (tree.train_images, tree.train_labels), (tree.test_images, tree.test_labels)
    return ImageArrays(
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        classes=CLASSES,
        mean=MEAN,
        std=STD,
    )


def _find(root: Path | None) -> Path:
    """Return the file or folder to read: ``root`` or the one thing in it that is CIFAR-10."""
    if root is None:
        raise DataError("data set cifar10 needs data.root: a folder or archive")
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if root.is_file() or (root / _TRAIN_BATCHES[0]).is_file() or (root / "train").is_dir():
        return root
    if (root / _OFFICIAL).is_dir():
        return root / _OFFICIAL  # the archive it came from often still lies beside it
    found = [
        path
        for path in sorted(root.iterdir())
        if path.name.lower().startswith(("cifar10", "cifar-10"))
        and (path.name.lower().endswith((*ARCHIVE_SUFFIXES, SUFFIX)) or (path / "train").is_dir())
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{root}: holds {', '.join(path.name for path in found)}; name one of them as data.root")
    kinds = ", ".join(f"cifar10*{suffix}" for suffix in (*ARCHIVE_SUFFIXES, SUFFIX))
    raise DataError(f"{root}: holds no CIFAR-10; looked for {_OFFICIAL}/, train/, cifar-10-python.tar.gz, {kinds}")


def _batch_name(path: str) -> str | None:
    """Return which official batch a file is, or None."""
    name = path.rpartition("/")[2]
    return name if name in (*_TRAIN_BATCHES, _TEST_BATCH) else None


def _official(source: Path, batches: Mapping[str, bytes]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return (images, labels) of the training and of the test part."""
    missing = [name for name in (*_TRAIN_BATCHES, _TEST_BATCH) if name not in batches]
    if missing:
        raise DataError(f"{source}: lacks {', '.join(missing)}")
    parts = [_read_batch(f"{source}: {name}", batches[name]) for name in _TRAIN_BATCHES]
    train = torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])
    return train, _read_batch(f"{source}: {_TEST_BATCH}", batches[_TEST_BATCH])


def _read_batch(name: str, data: bytes) -> tuple[Tensor, Tensor]:
    """Return one official batch: a pickled dict of planes [N, 3 * 32 * 32] and a list of labels."""
    content = load_plain(data, name)
    try:
        planes, labels = content[b"data"], content[b"labels"]
        if not isinstance(planes, PickledArray) or any(type(label) is not int for label in labels):
            raise TypeError("data must be an array and labels whole numbers")
        images = torch.from_numpy(planes.bytes_array()).view(-1, 3, _SIZE, _SIZE)
        return images, torch.from_numpy(np.array(labels, dtype=np.int64))
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{name}: no CIFAR-10 batch ({error})") from error


def _checked(arrays: ImageArrays, source: Path) -> ImageArrays:
    if arrays.classes != CLASSES or arrays.image_size != _SIZE or arrays.channels != 3:
        raise DataError(f"{source}: holds another data set than CIFAR-10")
    return arrays
