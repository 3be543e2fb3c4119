"""What all data sets of labelled RGB and infrared frames share: the test part, and how their pixels are normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kd.data.arrays import ImageArrays
from kd.data.modalities import Modalities
from kd.data.split import stratified_pick

RGB_IR: Modalities = (("rgb", 3), ("ir", 1))
TEST_SHARE = 0.3


def frame_arrays(images_NHWC: Tensor, labels_NK: Tensor, labels: Sequence[str]) -> ImageArrays:
    """Return frames uint8 [N, H, W, 4] and their labels uint8 [N, K] as a data set with a test part of 30 %.

    The test part is stratified over combinations of labels and depends on no seed. ``mean`` and ``std`` are such that
    the lowest pixel of a channel over the training part becomes 0 and the highest 1 (min-max normalisation).
    """
    images = images_NHWC.permute(0, 3, 1, 2)
    test = torch.zeros(len(images), dtype=torch.bool)
    test[stratified_pick(labels_NK, round(TEST_SHARE * len(images)), "frames test part")] = True
    train_images = images[~test]
    low, high = (end(train_images, dim=(0, 2, 3)).tolist() for end in (torch.amin, torch.amax))
    return ImageArrays(
        train_images=train_images,
        train_labels=labels_NK[~test],
        test_images=images[test],
        test_labels=labels_NK[test],
        classes=tuple(labels),
        mean=tuple(least / 255 for least in low),
        std=tuple((most - least) / 255 for least, most in zip(low, high, strict=True)),
        multi_label=True,
        modalities=RGB_IR,
    )
