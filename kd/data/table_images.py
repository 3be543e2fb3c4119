"""The images of a table's rows, decoded side by side into one array, with a hash of each row's content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kd.data.decode import Decoding, decode_image, in_threads
from kd.data.frame_table import Fault, Frame
from kd.data.notes import note_more_frames
from kd.errors import DataError, printable


class TableImages(NamedTuple):
    """Pixels uint8 [N, H, W, C], hashes uint64 [N] of the first image's file, and faults of images that are none."""

    pixels: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    faults: list[Fault]


def decode_frames(
    root: Path, frames: Sequence[Frame], channels: Mapping[str, int], *, size: int, bits: int
) -> TableImages:
    """Decode the frames' images, which are so many ``channels`` each by their column, in the columns' order."""
    pixels = np.zeros((len(frames), size, size, sum(channels.values())), dtype=np.uint8)
    hashes = np.zeros(len(frames), dtype=np.uint64)
    faults: list[Fault] = []
    more: list[str] = []

    def decode(number: int) -> None:
        frame, begin = frames[number], 0
        for (column, count), path in zip(channels.items(), frame.images, strict=True):
            how = Decoding(size=size, channels=count, resize=True, bits=bits)
            try:
                data = (root / path).read_bytes()
                decoded = decode_image(f"{column}: '{printable(path)}'", data, how)
                pixels[number, :, :, begin : begin + count] = decoded.pixels
                if begin == 0:
                    hashes[number] = int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
                more.extend([path] if decoded.has_more else [])
            except (DataError, OSError) as error:
                faults.append((frame.line, str(error)))
            begin += count

    in_threads(decode, len(frames))
    note_more_frames(root, more)
    return TableImages(pixels, hashes, faults)
