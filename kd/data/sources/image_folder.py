"""Any class-folder data set: ``train/<class>/…`` and ``test/<class>/…``, in a folder or an archive."""

from __future__ import annotations

from pathlib import Path

from kd.arguments import Fraction, PositiveInt
from kd.data.arrays import ImageArrays, channel_statistics
from kd.data.decode import Decoding
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.image_tree import read_image_tree
from kd.errors import DataError

__all__ = ["image_folder"]

LAYOUT = "train/<class>/ and test/<class>/"


def image_folder(
    root: Path | None, *, size: PositiveInt, grey: bool = False, test: Fraction | str = "test", bits: PositiveInt = 16
) -> ImageArrays:
    """Your own images in class folders, train/<class>/ and test/<class>/, as a folder, .tar, .tar.gz or .zip.

    A class's images may lie in folders below its own. Images come out as ``size`` x ``size``, scaled by the shorter
    side and cut to the centre; RGB, or one channel where ``grey``. ``test`` is the name of the test part's folder, or
    the share of each class that becomes the test part where the folder has none. ``bits`` are those in use of 16-bit
    files. ``root`` may also be a file that kd.data.prepare made of them. Raises DataError naming the file at fault.
    """
    if root is None:
        raise DataError(f"data set image_folder needs data.root: a folder or archive of {LAYOUT}")
    if root.suffix == SUFFIX:
        return _checked(read_decoded(root), root, size, 1 if grey else 3)
    tree = read_image_tree(root, Decoding(size=size, channels=1 if grey else 3, resize=True, bits=bits), test)
    mean, std = channel_statistics(tree.train_images)
    return ImageArrays(
        train_images=tree.train_images,
        train_labels=tree.train_labels,
        test_images=tree.test_images,
        test_labels=tree.test_labels,
        classes=tree.classes,
        mean=mean,
        std=std,
    )


def _checked(arrays: ImageArrays, source: Path, size: int, channels: int) -> ImageArrays:
    if (arrays.image_size, arrays.channels) != (size, channels):
        found = f"{arrays.image_size} pixels and {arrays.channels} channels"
        raise DataError(f"{source}: holds images of {found}, not {size} and {channels}")
    return arrays
