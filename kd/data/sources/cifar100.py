"""CIFAR-100 (Krizhevsky 2009): 60,000 colour images of 32 x 32 from the official files; 100 classes in 20 groups."""

from __future__ import annotations

from pathlib import Path

from kd.data.archive import read_files
from kd.data.arrays import ImageArrays, arrays_of
from kd.data.cifar_batches import Layout, base_name, find, read_names, read_parts
from kd.errors import DataError

__all__ = ["cifar100"]

# Of all pixels of the 50,000 official training images.
MEAN = (0.5071, 0.4865, 0.4409)
STD = (0.2673, 0.2564, 0.2762)

_LAYOUT = Layout(
    title="CIFAR-100",
    data_set="cifar100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train=("train",),
    test="test",
    names=r"cifar-?100",
)
_NAMES = "meta"


def cifar100(root: Path | None, *, coarse: bool = False) -> ImageArrays:
    """CIFAR-100: 100 classes, 32 x 32 colour, 50,000 to train and 10,000 to test.

    ``root`` is the official folder (train, test, meta) or cifar-100-python.tar.gz, or a folder that holds one of
    these. The archive is read as it is, never unpacked. ``coarse`` takes the 20 groups of five as classes. Raises
    DataError naming the file at fault, or what was looked for.
    """
    kind = b"coarse" if coarse else b"fine"
    source = find(root, _LAYOUT)
    wanted = (*_LAYOUT.batches, _NAMES)
    files = {base_name(path): data for path, data in read_files(source, lambda path: base_name(path) in wanted).items()}
    train, test = read_parts(source, files, _LAYOUT, kind + b"_labels")
    if _NAMES not in files:
        raise DataError(f"{source}: lacks {_NAMES}")
    classes = read_names(f"{source}: {_NAMES}", files[_NAMES], kind + b"_label_names")
    return arrays_of(source, train, test, classes=classes, mean=MEAN, std=STD)
