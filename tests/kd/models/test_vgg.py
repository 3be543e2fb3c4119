"""Where VGG halves the image."""

from __future__ import annotations

import pytest
import torch

from kd.distill.features import FeatureTaps
from kd.models.vgg import vgg8


@pytest.mark.parametrize(("size", "sides"), [(32, [16, 8, 4, 4]), (64, [32, 16, 8, 4])])
def test_the_last_map_is_of_4_pixels_at_32_and_at_64(size: int, sides: list[int]) -> None:
    model = vgg8(10, 3, size).eval()
    taps = FeatureTaps(model)
    with torch.inference_mode():
        model(torch.randn(1, 3, size, size))
    features = taps.collect()
    assert [features[f"stage{number}"].shape[-1] for number in (1, 2, 3, 4)] == sides
    assert all(features[f"stage{number}"].min() >= 0 for number in (1, 2, 3, 4))
