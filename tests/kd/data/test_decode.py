"""Pixels come out as a person sees the image, whatever the file keeps them in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from kd.data.decode import Decoding, decode_image
from kd.errors import DataError

RAMP = np.linspace(0, 65535, 256).reshape(16, 16)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes, *, channels: int = 3, size: int = 16, bits: int = 16) -> NDArray[np.uint8]:
    return decode_image("it", data, Decoding(size=size, channels=channels, resize=True, bits=bits)).pixels


def sixteen_bits(kind: str) -> bytes:
    if kind == "PGM":
        return b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes()
    big = kind == "TIFF, big-endian"
    return file_of(Image.fromarray(RAMP.astype(">u2" if big else "<u2")), kind.partition(",")[0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF, big-endian", "PGM"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str, channels: int) -> None:
    found = pixels(sixteen_bits(kind), channels=channels)
    assert found.shape == (16, 16, channels)
    assert np.abs(found[..., 0].astype(int) - RAMP / 257).max() <= 0.51


def test_a_camera_of_fourteen_bits_uses_the_whole_range() -> None:
    image = file_of(Image.fromarray((RAMP / 4).astype(np.uint16)), "PNG")
    assert pixels(image, channels=1, bits=14).max() == 255
    assert pixels(image, channels=1).max() == 64
    with pytest.raises(DataError, match="it has a pixel of 16383, but 'bits: 12' ends at 4095"):
        pixels(image, channels=1, bits=12)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_of_unknown_range_are_refused(kind: type) -> None:
    with pytest.raises(DataError, match="has 32 bits per pixel, whose range is not known; save it with 8 or 16"):
        pixels(file_of(Image.fromarray(RAMP.astype(kind)), "TIFF"))


def corner(orientation: int, kind: str) -> list[int]:
    """Return the corners (clockwise from the top left) of an image whose upright form has 0, 80, 160, 240 there."""
    upright = Image.fromarray(np.kron([[0, 80], [240, 160]], np.ones((8, 8))).astype(np.uint8))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = pixels(file_of(stored, kind, exif=exif, **options), channels=1)[..., 0]
    return [int(found[row, column]) for row, column in ((2, 2), (2, 13), (13, 13), (13, 2))]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(orientation: int, kind: str) -> None:
    assert corner(orientation, kind) == pytest.approx([0, 80, 160, 240], abs=3)


def test_transparent_parts_are_seen_on_white() -> None:
    image = Image.new("RGBA", (16, 16), (10, 20, 30, 0))  # colours under full transparency mean nothing
    image.paste((200, 0, 0, 255), (0, 0, 8, 16))
    image.paste((0, 0, 0, 128), (8, 0, 16, 8))
    found = pixels(file_of(image, "PNG"))
    assert found[4, 4].tolist() == [200, 0, 0]
    assert found[4, 12].tolist() == [127, 127, 127]
    assert found[12, 12].tolist() == [255, 255, 255]
    assert pixels(file_of(image.convert("LA"), "PNG"), channels=1)[12, 12].tolist() == [255]


def test_palettes_give_their_colours_and_their_transparency() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    image.paste(2, (0, 0, 8, 16))
    for kind in ("PNG", "GIF", "BMP"):
        found = pixels(file_of(image, kind))
        assert (found[4, 4].tolist(), found[4, 12].tolist()) == ([0, 0, 255], [255, 0, 0])
    clear = pixels(file_of(image, "PNG", transparency=1))
    assert (clear[4, 4].tolist(), clear[4, 12].tolist()) == ([0, 0, 255], [255, 255, 255])


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    for kind in ("JPEG", "TIFF"):
        assert pixels(file_of(image, kind))[4, 4].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_black_and_white_bits_are_black_and_white() -> None:
    image = Image.new("1", (16, 16), 1)
    image.paste(0, (0, 0, 8, 16))
    for kind in ("PNG", "TIFF", "PPM"):
        assert pixels(file_of(image, kind), channels=1)[4, [4, 12], 0].tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_is_read_and_the_rest_is_known(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), (value, 0, 0)) for value in (50, 250)]
    options = {"lossless": True} if kind == "WEBP" else {}
    several = decode_image(
        "it",
        file_of(frames[0], kind, save_all=True, append_images=frames[1:], **options),
        Decoding(size=16, channels=3, resize=False),
    )
    assert several.has_more
    assert several.pixels[0, 0].tolist() == pytest.approx([50, 0, 0], abs=3)
    assert not decode_image("it", file_of(frames[0], kind), Decoding(size=16, channels=3, resize=False)).has_more


def test_what_is_no_image_is_said_in_plain_words() -> None:
    with pytest.raises(DataError, match=r"it is no image that can be read \(its bytes are none of JPEG, PNG"):
        pixels(b"%!PS-Adobe")
