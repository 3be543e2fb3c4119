"""The networks of the MNIST plan: layer by layer as drawn, and the limits of the small one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.distill.features import FeatureTaps
from kd.errors import SpecError
from kd.models.mnist import (
    depthwise_mnist,
    depthwise_mnist_400k,
    resnet18_mnist_4m,
    simplecnn_mnist,
    simplecnn_mnist_50k,
)


def pointwise(model: nn.Module) -> list[tuple[int, int]]:
    """Channels in and out of the 1x1 convolutions."""
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [(c.in_channels, c.out_channels) for c in convolutions if c.kernel_size == (1, 1)]


def test_the_depthwise_student_is_the_one_drawn() -> None:
    model = depthwise_mnist(10, 1, 28)
    assert pointwise(model) == [(32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
    strides = [block[0][0].stride[0] for block in model.blocks]
    assert strides == [1, 2, 1, 2, 1, 2]


def test_the_larger_student_has_two_more_blocks_at_256() -> None:
    model = depthwise_mnist_400k(10, 1, 28)
    assert pointwise(model)[4:] == [(256, 256)] * 3 + [(256, 512)]
    assert [block[0][0].stride[0] for block in model.blocks] == [1, 2, 1, 2, 1, 1, 1, 2]


@pytest.mark.parametrize("make", [depthwise_mnist, depthwise_mnist_400k])
def test_the_students_taps_have_the_sizes_of_the_teachers(make) -> None:
    model = make(10, 1, 28).eval()
    taps = FeatureTaps(model)
    model(torch.randn(1, 1, 28, 28))
    assert [feature.shape[-1] for name, feature in taps.collect().items() if name != "pooled"] == [28, 14, 7, 4]


def test_the_4m_teacher_still_has_18_layers() -> None:
    model = resnet18_mnist_4m(10, 1, 28)
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) - 2 == 18  # without the two 1x1 shortcuts


def test_the_hidden_layer_of_simplecnn_reads_576_numbers_as_drawn() -> None:
    assert simplecnn_mnist(10, 1, 28).hidden[1].in_features == 576
    assert simplecnn_mnist_50k(10, 1, 28).hidden[1].in_features == 288


def test_an_image_that_the_poolings_leave_nothing_of_is_refused() -> None:
    with pytest.raises(SpecError, match="3 poolings halve a 7-pixel image away"):
        simplecnn_mnist(10, 1, 7)
