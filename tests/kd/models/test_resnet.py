"""Stems, the residual sum, enlarged images and torchvision's names for the residual networks of four stages."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kd.errors import SpecError
from kd.models.resnet import resnet8, resnet18, resnet50
from kd.vision_libraries import import_vision


def test_the_cifar_stem_keeps_the_image_size_and_the_imagenet_stem_quarters_it() -> None:
    for stem, side in (("cifar", 32), ("imagenet", 8)):
        model = resnet18(10, 3, 32, stem=stem, width=4)
        x = model.maxpool(model.relu(model.bn1(model.conv1(torch.randn(2, 3, 32, 32)))))
        assert x.shape == (2, 4, side, side)


def test_the_residual_branch_is_added_to_the_shortcut() -> None:
    block = resnet18(10, 3, 32, width=4).layer1[0].eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize(("make", "name"), [(resnet18, "resnet18"), (resnet50, "resnet50")])
def test_the_imagenet_network_is_torchvisions(make, name: str) -> None:
    theirs = import_vision("torchvision.models").get_model(name, num_classes=7).eval()
    ours = make(7, 3, 64, stem="imagenet").eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))


def test_images_are_enlarged_inside_the_network() -> None:
    model = resnet18(10, 1, 8, width=4, resize=16).eval()
    images = torch.randn(2, 1, 8, 8)
    larger = F.interpolate(images, size=(16, 16), mode="bilinear", align_corners=False)
    same = resnet18(10, 1, 16, width=4).eval()
    same.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(images), same(larger))
    with pytest.raises(SpecError, match=r"resize: 4 pixels are fewer than the images have \(8\)"):
        resnet18(10, 1, 8, width=4, resize=4)


def test_resnet8_has_one_block_per_stage() -> None:
    model = resnet8(10, 3, 32, width=4)
    assert [len(getattr(model, f"layer{number}")) for number in (1, 2, 3, 4)] == [1, 1, 1, 1]
