"""The 8 x 8 handwritten digits that scikit-learn carries (Alpaydin and Kaynak 1998): no download."""

from __future__ import annotations

from pathlib import Path

import torch

from kd.data.arrays import ImageArrays, channel_statistics
from kd.data.split import stratified_pick
from kd.errors import DataError

__all__ = ["digits"]

_TEST_IMAGES = 360


def digits(root: Path | None) -> ImageArrays:
    """Handwritten digits, 8 x 8 grey, 1,437 to train and 360 to test; comes with scikit-learn.

    ``root`` is not used. The pixels 0..16 are stretched to 0..255. scikit-learn names no test part; a fixed
    stratified one is cut here. Raises DataError when scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("data set digits needs scikit-learn: pip install scikit-learn") from error
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).to(torch.int64).unsqueeze(1)
    images = ((pixels * 255 + 8) // 16).to(torch.uint8)
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    test = torch.zeros(len(labels), dtype=torch.bool)
    test[stratified_pick(labels, _TEST_IMAGES, "digits test part")] = True
    mean, std = channel_statistics(images[~test])
    return ImageArrays(
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple("0123456789"),
        mean=mean,
        std=std,
    )
