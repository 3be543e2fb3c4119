"""Any class-folder data set: ``train/<class>/<image>`` and ``test/<class>/<image>``, in a folder or an
archive.
"""

from __future__ import annotations

from pathlib import Path

from kd.arguments import PositiveInt
from kd.data.arrays import ImageArrays, channel_statistics
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.image_tree import Decoding, read_image_tree
from kd.errors import DataError

__all__ = ["image_folder"]


def image_folder(root: Path | None, *, size: PositiveInt, grey: bool = False) -> ImageArrays:
    """Your own images in class folders, train/<class>/ and test/<class>/, as a folder, .tar, .tar.gz or .zip.

    Images come out as ``size`` x ``size``, scaled by the shorter side and cut to the centre; RGB, or one
    channel where ``grey``. ``root`` may also be a file that kd.data.prepare made of them. Raises DataError
    naming the file at fault.
    """
    if root is None:
        raise DataError(
            "data set image_folder needs data.root: a folder or archive of train/<class>/ and test/<class>/"
        )
    if root.suffix == SUFFIX:
        return _checked(read_decoded(root), root, size, 1 if grey else 3)
    tree = read_image_tree(root, Decoding(size=size, channels=1 if grey else 3, resize=True))
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
