"""One image file to pixels: bytes of one size and kind, whatever was in the file (docs/data.md: "Pixels").

The rules are those by which people look at images: turned as EXIF says, transparent parts over white, 16 bits scaled
to 8. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from kd.errors import DataError, printable

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")  # no others: some of Pillow's readers start programs
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_WIDE = ("I", "F")
_SCALED_TO_16_BITS = ("PNG", "PPM")  # what these give as "I" runs from 0 to 65535
_ORIENTATION = 0x0112
_EXIF_IN = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
# What EXIF's orientation 2 to 8 asks for; TIFF files are turned by Pillow as it loads them.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LARGE = 16_000_000  # pixels; larger images are decoded one at a time, whatever the number of threads
_one_at_a_time = Lock()
_CHUNK = 512  # images per task of a thread
_MAX_THREADS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How images are to come out: ``size`` x ``size``, 1 (grey) or 3 (RGB) channels.

    With ``resize`` other sizes are scaled (shorter side to ``size``) and cut to the centre square; without,
    refused. Of files with 16 bits ``bits`` are used: a thermal camera may fill only 14.
    """

    size: int
    channels: int
    resize: bool
    bits: int = 16


class Decoded(NamedTuple):
    """Pixels uint8 [H, W, C], and whether the file holds further pages or frames, which are not read."""

    pixels: NDArray[np.uint8]
    has_more: bool


def decode_image(name: str, data: bytes, decoding: Decoding) -> Decoded:
    """Decode one image file; ``name`` is for error lines. Raises DataError if it is none, or cannot be shown truly."""
    size = decoding.size
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image, _room_for(image):
            image.load()
            upright = _turned(image)
            if upright.size != (size, size) and not decoding.resize:
                raise DataError(f"{name} is {upright.width}x{upright.height}; {size}x{size} is needed")
            shown = _converted(name, upright, image.format, decoding)
            fitted = shown if shown.size == (size, size) else _centre_square(shown, size)
            pixels = np.asarray(fitted).reshape(size, size, decoding.channels)
            has_more = image.format not in ("JPEG", "MPO") and bool(getattr(image, "is_animated", False))
            return Decoded(pixels, has_more)
    except UnidentifiedImageError:
        raise DataError(f"{name} is no image that can be read (its bytes are none of {', '.join(_FORMATS)})") from None
    except (OSError, SyntaxError, ValueError, struct.error, *_BOMBS) as error:
        raise DataError(f"{name} is no image that can be read ({printable(str(error))})") from error


_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@contextmanager
def _room_for(image: Image.Image) -> Iterator[None]:
    """Keep several threads from unpacking an enormous image each at once."""
    if image.width * image.height <= _LARGE:
        yield
    else:
        with _one_at_a_time:
            yield


def _turned(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF orientation says it is to be seen."""
    if image.format == "TIFF" or not any(key in image.info for key in _EXIF_IN):
        return image
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _converted(name: str, image: Image.Image, kind: str | None, decoding: Decoding) -> Image.Image:
    """Return the image as grey or RGB bytes."""
    mode = "L" if decoding.channels == 1 else "RGB"
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and kind in _SCALED_TO_16_BITS):
        image = _eight_bits(name, image, decoding.bits)
    elif image.mode in _WIDE:
        raise DataError(f"{name} has 32 bits per pixel, whose range is not known; save it with 8 or 16")
    elif image.has_transparency_data:
        image = _over_white(image)
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(name: str, image: Image.Image, bits: int) -> Image.Image:
    """Return a 16-bit grey image in 8 bits, its whole range scaled: converting would clip all above 255 to white."""
    values = np.asarray(image).astype(np.int64)
    most = 2**bits - 1
    if (highest := int(values.max(initial=0))) > most:
        raise DataError(f"{name} has a pixel of {highest}, but 'bits: {bits}' ends at {most}")
    return Image.fromarray(((values * 255 + most // 2) // most).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    """Return what is seen of a partly transparent image on white; its hidden colours mean nothing."""
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _centre_square(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of an image, scaled to ``size``."""
    shorter = min(image.size)
    if max(image.size) == shorter:
        return image.resize((size, size), Image.Resampling.BILINEAR)
    left, top = (image.width - shorter) // 2, (image.height - shorter) // 2
    square = (left, top, left + shorter, top + shorter)
    return image.crop(square).resize((size, size), Image.Resampling.BILINEAR)


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Do ``work`` for every number below ``count``, many to a task of a thread; raise the first error.

    Pillow lets go of the interpreter lock while it decodes.
    """

    def chunk(start: int) -> None:
        for number in range(start, min(start + _CHUNK, count)):
            work(number)

    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        list(pool.map(chunk, range(0, count, _CHUNK)))
