"""Sizes, shapes and limits of the small convolutional networks."""

from __future__ import annotations

import pytest
import torch

from kd.errors import SpecError
from kd.models.convnet import convnet


@pytest.mark.parametrize(
    ("channels", "size", "arguments", "parameters"),
    [
        (1, 28, {}, 56_554),
        (1, 8, {"width": 8, "blocks": 2}, 72 + 16 + 1152 + 32 + 170),
        (3, 32, {"width": 16}, 14_746),
    ],
)
def test_the_networks_have_their_known_size(channels: int, size: int, arguments: dict, parameters: int) -> None:
    model = convnet(10, channels, size, **arguments)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.randn(2, channels, size, size)).shape == (2, 10)


def test_an_image_too_small_for_the_poolings_is_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="4 blocks halve a 8-pixel image away") as error:
        convnet(10, 1, 8, blocks=4)
    assert "\n" not in str(error.value)
