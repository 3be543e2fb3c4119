"""Your own paired RGB and infrared frames with several labels each, named by the rows of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kd.arguments import PositiveInt
from kd.data.arrays import ImageArrays
from kd.data.decoded import SUFFIX, read_decoded
from kd.data.decoded_cache import decoded_once
from kd.data.frame_table import Columns, Fault, Frame, read_table, refuse, require_both_answers
from kd.data.frames import frame_arrays
from kd.data.decode import Decoding, decode_image, in_threads
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
) -> ImageArrays:
    """Your own RGB and infrared frames, several labels per image, as rows of a CSV file of paths and labels.

    Paths are relative to the folder ``root``. Modalities: rgb (3 channels) and ir (1). Frames come out as ``size`` x
    ``size``, scaled by the shorter side and cut to the centre; 30 % of them are the test part. They are decoded once
    and kept (see ``kd.data.decoded_cache``). ``root`` may also be a file that kd.data.prepare made. Raises DataError
    naming every row at fault.
    """
    if root is None:
        raise DataError(f"data set paired_frames needs data.root: the folder of {csv} and its images")
    if root.suffix == SUFFIX:
        return _checked(read_decoded(root), root, labels, size)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    columns = Columns(image=image_column, infrared=ir_column, labels=tuple(labels))
    frames, faults = read_table(root, csv, columns)
    if faults:  # tell those of the images too, so that all can be mended at once
        refuse(root / csv, [*faults, *_pixels(root, frames, columns, size)[1]])
    require_both_answers(root / csv, frames, labels)
    used = [root / path for frame in frames for path in (frame.image, frame.infrared)]
    settings = {"labels": labels, "size": size, "rows": [[frame.image, *frame.labels] for frame in frames]}
    return decoded_once(root, settings, used, lambda: _decoded(root, csv, frames, columns, size))


def _decoded(root: Path, csv: str, frames: Sequence[Frame], columns: Columns, size: int) -> ImageArrays:
    """Decode all frames. Raises DataError naming every one that is no image."""
    pixels, faults = _pixels(root, frames, columns, size)
    refuse(root / csv, faults)
    labels = torch.tensor([frame.labels for frame in frames], dtype=torch.uint8)
    return frame_arrays(torch.from_numpy(pixels), labels, columns.labels)


def _pixels(root: Path, frames: Sequence[Frame], columns: Columns, size: int) -> tuple[NDArray[np.uint8], list[Fault]]:
    """Return the frames as [N, size, size, 4], and the faults of those that are no images."""
    pixels = np.zeros((len(frames), size, size, 4), dtype=np.uint8)
    faults: list[Fault] = []

    def decode(number: int) -> None:
        frame = frames[number]
        for column, path, channels in (
            (columns.image, frame.image, slice(0, 3)),
            (columns.infrared, frame.infrared, slice(3, 4)),
        ):
            how = Decoding(size=size, channels=channels.stop - channels.start, resize=True)
            try:
                pixels[number, :, :, channels] = decode_image(f"{column}: '{path}'", (root / path).read_bytes(), how).pixels
            except (DataError, OSError) as error:
                faults.append((frame.line, str(error)))

    in_threads(decode, len(frames))
    return pixels, faults


def _checked(arrays: ImageArrays, source: Path, labels: Sequence[str], size: int) -> ImageArrays:
    if arrays.classes != tuple(labels) or not arrays.multi_label or arrays.image_size != size:
        found = f"{', '.join(arrays.classes)} at {arrays.image_size} pixels"
        raise DataError(f"{source}: holds {found}, not the labels {', '.join(labels)} at {size}")
    return arrays
