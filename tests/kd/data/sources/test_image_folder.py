"""Any class folders, of any image size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kd.data.sources.image_folder import image_folder
from kd.errors import DataError


@pytest.mark.parametrize(("grey", "channels"), [(False, 3), (True, 1)])
def test_images_come_out_in_the_size_asked_for(
    pack: Callable[[Mapping[str, bytes]], Path], image_file: Callable[..., bytes], grey: bool, channels: int
) -> None:
    files = {
        "mine/train/no/1.jpg": image_file((250, 250, 250), (40, 30), "JPEG"),
        "mine/train/yes/1.png": image_file((0, 0, 0), (16, 90)),
        "mine/test/yes/1.webp": image_file((10, 10, 10), (24, 24), "WEBP"),
        "mine/test/no/1.bmp": image_file((240, 240, 240), (24, 24), "BMP"),
    }
    arrays = image_folder(pack(files), size=24, grey=grey)
    assert arrays.classes == ("no", "yes")
    assert arrays.train_images.shape == (2, channels, 24, 24)
    assert arrays.train_images[:, 0, 12, 12].tolist() == [250, 0]
    assert arrays.mean == pytest.approx((125 / 255,) * channels)
    assert arrays.std == pytest.approx((125 / 255,) * channels)


def test_no_root_is_refused() -> None:
    with pytest.raises(DataError, match=r"needs data.root"):
        image_folder(None, size=8)
