"""Your own paired RGB and infrared frames with several labels each, named by the rows of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from kd.arguments import PositiveInt
from kd.data.arrays import ImageArrays
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.decoded_cache import decoded_once
from kd.data.frame_table import Columns, Frame, read_table, refuse, require_both_answers
from kd.data.frames import frame_arrays
from kd.data.table_images import TableImages, decode_frames
from kd.errors import DataError

__all__ = ["paired_frames"]


def paired_frames(
    root: Path | None,
    *,
    csv: str = "frame_labels.csv",
    image_column: str = "image_path",
    ir_column: str = "ir_path",
    labels: list[str] = ["fire", "smoke"],  # noqa: B006 (read as text)
    size: PositiveInt = 224,
    bits: PositiveInt = 16,
) -> ImageArrays:
    """Your own RGB and infrared frames, several labels per image, as rows of a CSV file of paths and labels.

    Paths are relative to the folder ``root``. Modalities: rgb (3 channels) and ir (1). Frames come out as ``size`` x
    ``size``, scaled by the shorter side and cut to the centre; of 16-bit files ``bits`` are in use. 30 % of the frames
    are the test part. They are decoded once and kept (see ``kd.data.decoded_cache``). ``root`` may also be a file that
    kd.data.prepare made. Raises DataError naming the rows at fault.
    """
    if root is None:
        raise DataError(f"data set paired_frames needs data.root: the folder of {csv} and its images")
    if root.suffix == SUFFIX:
        return _checked(read_decoded(root), root, labels, size)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    columns = Columns(images=(image_column, ir_column), labels=tuple(labels))
    frames, faults = read_table(root, csv, columns)

    def decode() -> TableImages:
        return decode_frames(root, frames, {image_column: 3, ir_column: 1}, size=size, bits=bits)

    if faults:  # name those of the images too, so that all can be mended at once
        refuse(root / csv, [*faults, *decode().faults])
    require_both_answers(root / csv, frames, labels)
    used = [root / path for frame in frames for path in frame.images]
    rows = [[frame.images[0], *frame.labels] for frame in frames]
    settings = {"labels": labels, "size": size, "rows": rows, "bits": bits}
    return decoded_once(root, settings, used, lambda: _arrays(root / csv, frames, labels, decode()))


def _arrays(table: Path, frames: Sequence[Frame], labels: Sequence[str], images: TableImages) -> ImageArrays:
    """Return the data set. Raises DataError naming every image that is none."""
    refuse(table, images.faults)
    present = torch.tensor([frame.labels for frame in frames], dtype=torch.uint8)
    return frame_arrays(torch.from_numpy(images.pixels), present, labels)


def _checked(arrays: ImageArrays, source: Path, labels: Sequence[str], size: int) -> ImageArrays:
    if arrays.classes != tuple(labels) or not arrays.multi_label or arrays.image_size != size:
        found = f"{', '.join(arrays.classes)} at {arrays.image_size} pixels"
        raise DataError(f"{source}: holds {found}, not the labels {', '.join(labels)} at {size}")
    return arrays
