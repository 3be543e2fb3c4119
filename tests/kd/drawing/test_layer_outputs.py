"""What a layer puts out, by the name of a tap or the path of a module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kd.drawing.layer_outputs import layer_outputs
from kd.errors import UserError
from kd.models.convnet import convnet


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    images = torch.randn(10, 1, 8, 8)
    return [(images[:6], torch.zeros(6)), (images[6:], torch.ones(4))]


def test_features_are_those_that_the_classifier_sees(batches: list[tuple[Tensor, Tensor]]) -> None:
    model = convnet(3, 1, 8, width=4)
    features, labels = layer_outputs(model, "pooled", batches)
    assert labels.tolist() == [0] * 6 + [1] * 4
    with torch.inference_mode():
        torch.testing.assert_close(model.fc(features), model(torch.cat([images for images, _ in batches])))


@pytest.mark.parametrize("layer", ["stage1", "blocks.0", "blocks.0.0"])
def test_a_tap_and_the_path_of_any_module_name_a_layer(layer: str, batches: list[tuple[Tensor, Tensor]]) -> None:
    maps, _ = layer_outputs(convnet(3, 1, 8, width=4), layer, batches)
    assert maps.shape[:2] == (10, 4)


@pytest.mark.parametrize("layer", ["stage9", "", "blocks.7"])
def test_an_unknown_layer_is_answered_with_the_names_there_are(
    layer: str, batches: list[tuple[Tensor, Tensor]]
) -> None:
    model = convnet(3, 1, 8, width=4)
    with pytest.raises(UserError, match=r"no layer .*; feature taps: stage1, stage2, stage3, pooled"):
        layer_outputs(model, layer, batches)
    assert not any(module._forward_hooks for module in model.modules())
