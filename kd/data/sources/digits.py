"""The 8 x 8 handwritten digits that scikit-learn carries (Alpaydin and Kaynak 1998): no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
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
    rows = torch.from_numpy(np.loadtxt(_table(), delimiter=",", dtype=np.int64))  # 64 pixels and the digit
    images = ((rows[:, :-1].view(-1, 1, 8, 8) * 255 + 8) // 16).to(torch.uint8)
    labels = rows[:, -1].contiguous()
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


def _table() -> Path:
    """Return the file of scikit-learn that holds the digits. Importing scikit-learn to read it would take a second."""
    found = find_spec("sklearn")
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        table = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if table.is_file():
            return table
    raise DataError("data set digits needs scikit-learn: pip install scikit-learn")
