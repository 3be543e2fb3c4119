"""Your own images named by the rows of a CSV file, each with several labels of 0 or 1, or with one class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kd.arguments import Fraction, PositiveInt
from kd.data.arrays import ImageArrays, channel_statistics
from kd.data.class_folders import refuse_twins
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.decoded_cache import decoded_once
from kd.data.frame_table import Columns, Frame, read_table, refuse, require_both_answers
from kd.data.split import pick_by_content, require_every_class
from kd.data.table_images import TableImages, decode_frames
from kd.errors import DataError

__all__ = ["labelled_images"]


def labelled_images(
    root: Path | None,
    *,
    csv: str = "labels.csv",
    image_column: str = "image_path",
    labels: list[str] = [],  # noqa: B006 (read as text)
    class_column: str | None = None,
    size: PositiveInt,
    grey: bool = False,
    test: Fraction = 0.2,
    bits: PositiveInt = 16,
) -> ImageArrays:
    """Your own images as rows of a CSV file: several ``labels`` per image, a column of 0 and 1 each, or one class.

    Paths are relative to the folder ``root``. ``class_column`` names the column of the class instead of ``labels``.
    Images come out as ``size`` x ``size``, scaled by the shorter side and cut to the centre; RGB, or one channel where
    ``grey``; of 16-bit files ``bits`` are in use. ``test`` is the share that becomes the test part, chosen by a hash of
    the images' content in the proportions of the labels. They are decoded once and kept (see
    ``kd.data.decoded_cache``). ``root`` may also be a file that kd.data.prepare made. Raises DataError naming the rows
    at fault.
    """
    if root is None:
        raise DataError(f"data set labelled_images needs data.root: the folder of {csv} and its images")
    if bool(labels) == bool(class_column):
        raise DataError("data set labelled_images needs either data.labels or data.class_column")
    channels = 1 if grey else 3
    if root.suffix == SUFFIX:
        return _checked(read_decoded(root), root, labels, size, channels)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if not 0 < test < 1:
        raise DataError(f"data.test is {test:g}; a share between 0 and 1 is needed")
    columns = Columns(images=(image_column,), labels=tuple(labels), class_name=class_column)
    frames, faults = read_table(root, csv, columns)

    def decode() -> TableImages:
        return decode_frames(root, frames, {image_column: channels}, size=size, bits=bits)

    if faults:  # name those of the images too, so that all can be mended at once
        refuse(root / csv, [*faults, *decode().faults])
    require_both_answers(root / csv, frames, labels)
    rows = [[frame.images[0], *frame.labels, frame.class_name] for frame in frames]
    settings = {"labels": labels, "size": size, "channels": channels, "test": test, "rows": rows, "bits": bits}
    refuse_twins(root / csv, sorted({frame.class_name for frame in frames}) if class_column else [])
    used = [root / frame.images[0] for frame in frames]
    return decoded_once(root, settings, used, lambda: _arrays(root / csv, frames, labels, decode(), test))


def _arrays(
    table: Path, frames: Sequence[Frame], labels: Sequence[str], images: TableImages, share: float
) -> ImageArrays:
    """Return the data set. Raises DataError naming every image that is none, and where a part lacks a class."""
    refuse(table, images.faults)
    classes = tuple(labels) or tuple(sorted({frame.class_name for frame in frames}))
    kinds = [frame.class_name or ",".join(map(str, frame.labels)) for frame in frames]
    test = torch.from_numpy(pick_by_content(kinds, images.hashes, share))
    if not labels:
        tested = [name for name, taken in zip(kinds, test.tolist(), strict=True) if taken]
        kept = [name for name, taken in zip(kinds, test.tolist(), strict=True) if not taken]
        require_every_class(table, classes, tested, kept, share)
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2)
    answers = _answers(frames, classes, several=bool(labels))
    mean, std = channel_statistics(pixels[~test])
    try:
        return ImageArrays(
            train_images=pixels[~test],
            train_labels=answers[~test],
            test_images=pixels[test],
            test_labels=answers[test],
            classes=classes,
            mean=mean,
            std=std,
            multi_label=bool(labels),
        )
    except DataError as error:
        raise DataError(f"{table}: {error}") from error


def _answers(frames: Sequence[Frame], classes: Sequence[str], *, several: bool) -> Tensor:
    """Return uint8 [N, K] of 0 and 1, or int64 [N] classes."""
    if several:
        return torch.tensor([frame.labels for frame in frames], dtype=torch.uint8)
    number = {name: label for label, name in enumerate(classes)}
    return torch.tensor([number[frame.class_name] for frame in frames])


def _checked(arrays: ImageArrays, source: Path, labels: Sequence[str], size: int, channels: int) -> ImageArrays:
    wrong = labels and arrays.classes != tuple(labels)
    if wrong or arrays.multi_label != bool(labels) or (arrays.image_size, arrays.channels) != (size, channels):
        found = f"{', '.join(arrays.classes)} at {arrays.image_size} pixels and {arrays.channels} channels"
        raise DataError(f"{source}: holds {found}, not what was asked for at {size} and {channels}")
    return arrays
