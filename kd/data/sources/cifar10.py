"""CIFAR-10 (Krizhevsky 2009): 60,000 colour images of 32 x 32; official files or images in class folders."""

from __future__ import annotations

from pathlib import Path

from kd.data.archive import ARCHIVE_SUFFIXES, read_contents
from kd.data.arrays import ImageArrays, arrays_of
from kd.data.cifar_batches import SIZE, Layout, base_name, find, read_parts
from kd.data.class_folders import in_a_part
from kd.data.decode import Decoding
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.image_tree import image_tree
from kd.errors import DataError

__all__ = ["cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of all pixels of the 50,000 official training images. The often seen deviations (0.2023, 0.1994, 0.2010) are
# means of the deviations of single images, which is not what normalising needs.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

_LAYOUT = Layout(
    title="CIFAR-10",
    data_set="cifar10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    names=r"cifar-?10(?!0)",
    suffixes=(*ARCHIVE_SUFFIXES, SUFFIX),
    images=True,
)


def cifar10(root: Path | None) -> ImageArrays:
    """CIFAR-10: 10 classes, 32 x 32 colour, 50,000 to train and 10,000 to test.

    ``root`` is the official folder or cifar-10-python.tar.gz, a folder or archive of train/<class>/ and
    test/<class>/, a file that kd.data.prepare made, or a folder that holds one of these. Archives are read as
    they are, never unpacked. Raises DataError naming the file at fault, or what was looked for.
    """
    source = find(root, _LAYOUT)
    if source.suffix == SUFFIX:
        return _checked(read_decoded(source), source)
    contents = read_contents(source, lambda path: base_name(path) in _LAYOUT.batches or in_a_part(path))
    batches = {name: data for path, data in contents.files.items() if (name := base_name(path)) in _LAYOUT.batches}
    if batches:
        train, test = read_parts(source, batches, _LAYOUT, b"labels")
    else:
        tree = image_tree(source, contents, Decoding(size=SIZE, channels=3, resize=False))
        if tree.classes != CLASSES:
            found = ", ".join(tree.classes)
            raise DataError(f"{source}: classes are {found}; for other data use image_folder")
        train, test = (tree.train_images, tree.train_labels), (tree.test_images, tree.test_labels)
    return arrays_of(source, train, test, classes=CLASSES, mean=MEAN, std=STD)


def _checked(arrays: ImageArrays, source: Path) -> ImageArrays:
    if arrays.classes != CLASSES or arrays.image_size != SIZE or arrays.channels != 3:
        raise DataError(f"{source}: holds another data set than CIFAR-10")
    return arrays
