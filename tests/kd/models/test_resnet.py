"""Parameter counts, stems, shapes and declared taps of the residual networks."""

from __future__ import annotations

import pytest
import torch

from kd.catalog import load
from kd.models.resnet import resnet18, resnet50

PARAMETERS_CIFAR10 = {
    "resnet8": 4_903_242,
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet101": 42_512_970,
    "resnet152": 58_156_618,
}
PARAMETERS_IMAGENET = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032}  # torchvision's


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS_CIFAR10.items())
def test_the_cifar_networks_have_their_known_size(name: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count(load("model", name)(10, 3, 32)) == parameters


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS_IMAGENET.items())
def test_the_imagenet_networks_have_torchvisions_size(name: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count(load("model", name)(1000, 3, 224, stem="imagenet")) == parameters


def test_the_cifar_stem_keeps_the_image_size_and_the_imagenet_stem_quarters_it() -> None:
    for stem, side in (("cifar", 32), ("imagenet", 8)):
        model = resnet18(10, 3, 32, stem=stem, width=4)
        x = model.maxpool(model.relu(model.bn1(model.conv1(torch.randn(2, 3, 32, 32)))))
        assert x.shape == (2, 4, side, side)


@pytest.mark.parametrize("make", [resnet18, resnet50])
def test_logits_have_one_column_per_class_and_every_parameter_gets_a_gradient(make) -> None:
    model = make(7, 1, 16, width=4)
    logits = model(torch.randn(3, 1, 16, 16))
    assert logits.shape == (3, 7)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_residual_branch_is_added_to_the_shortcut() -> None:
    block = resnet18(10, 3, 32, width=4).layer1[0].eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_every_declared_tap_names_a_module() -> None:
    model = resnet18(10, 3, 32, width=4)
    assert list(model.feature_taps) == ["stage1", "stage2", "stage3", "stage4", "pooled"]
    for path in model.feature_taps.values():
        model.get_submodule(path)
