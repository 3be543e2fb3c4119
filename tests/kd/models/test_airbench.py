"""The network that learns CIFAR-10 in seconds: what it makes of the images it looks at, and what stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kd.errors import SpecError
from kd.models.airbench import Airbench, airbench94


def correlated_images() -> torch.Tensor:
    return F.avg_pool2d(torch.randn(64, 3, 34, 34, generator=torch.Generator().manual_seed(0)), 3, 1)


def test_the_first_layer_whitens_the_patches_of_the_images_it_has_looked_at() -> None:
    model = airbench94(10, 3, 32)
    assert isinstance(model, Airbench)
    model.look_at(correlated_images())
    outputs = F.conv2d(correlated_images(), model.whiten.weight).transpose(0, 1).flatten(1)
    half = len(outputs) // 2
    torch.testing.assert_close(outputs[:half], -outputs[half:])
    covariance = torch.cov(outputs[:half])
    assert covariance.diagonal().max() <= 1.01
    torch.testing.assert_close(covariance, torch.diag(covariance.diagonal()), atol=1e-3, rtol=0)


def test_whitening_and_scales_of_norms_are_not_trained() -> None:
    frozen = [name for name, weight in airbench94(10, 3, 32).named_parameters() if not weight.requires_grad]
    assert frozen == ["whiten.weight", *(f"blocks.{block}.{layer}.weight" for block in range(3) for layer in (2, 5))]


def test_a_convolution_begins_as_the_identity_of_the_channels_it_is_given() -> None:
    first = airbench94(10, 3, 32).blocks[0][0]
    images = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(first(images)[:, :24], images)


def test_small_images_are_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="needs images of 16 pixels a side, not 8"):
        airbench94(10, 3, 8)
