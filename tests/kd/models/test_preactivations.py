"""Where the maps before the activation are: for each kind of network, and never changed by what follows in place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.catalog import entries, load
from kd.distill.features import BEFORE, FeatureTaps, norms_before_activation
from kd.jobfile.declared_taps import PREACTIVATIONS, declares_taps
from kd.jobfile.schema import Component

# what makes a stage's map of the one before the activation
BECOMES = {
    "resnet20": F.relu,
    "resnet8": F.relu,
    "resnet18_mnist": F.relu,
    "airbench94": F.gelu,
    "vgg8": F.relu,
    "depthwise_mnist": F.relu,
    "mobilenet_v2": lambda maps: maps,
    "mobilenet_v2_half": lambda maps: maps,
    "shufflenet_v1": F.relu,
    "shufflenet_v2": lambda maps: F.channel_shuffle(F.relu(maps), 2),
    "vit6": lambda maps: maps,
    "convnet": lambda maps: F.max_pool2d(F.relu(maps), 2),
    "simplecnn_mnist": lambda maps: F.max_pool2d(F.relu(maps), 2),
}


def tapped(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(0)
    channels, size = (1, 28) if "mnist" in name else (3, 32)
    model = load("model", name)(10, channels, size).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # nothing is zero or one by chance
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
    taps = FeatureTaps(model, preactivations=True)
    model(torch.randn(3, channels, size, size))
    return model, taps.collect()


@pytest.mark.parametrize("name", BECOMES)
def test_the_activation_of_the_map_before_it_is_the_stages_map(name: str) -> None:
    model, features = tapped(name)
    stages = [stage for stage in model.feature_taps if stage != "pooled"]
    assert list(model.preactivation_taps) == stages
    for stage in stages:
        before = features[f"{BEFORE}{stage}"]
        assert (before < 0).any()
        assert torch.equal(BECOMES[name](before), features[stage])


def test_of_a_wide_resnet_it_is_the_sum_after_the_next_batch_norm() -> None:
    model, features = tapped("wrn16_2")
    for stage, norm in (("stage1", model.block2[0].bn1), ("stage2", model.block3[0].bn1), ("stage3", model.bn1)):
        torch.testing.assert_close(features[f"{BEFORE}{stage}"], norm(features[stage]))


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "wrn16_2", "vgg13", "mobilenet_v2_half", "convnet"])
def test_the_norm_before_it_has_a_scale_and_an_offset_per_channel(name: str) -> None:
    model, features = tapped(name)
    for maps, norm in zip(
        [maps for tap, maps in features.items() if tap.startswith(BEFORE)], norms_before_activation(model), strict=True
    ):
        assert norm is not None
        assert norm[0].shape == norm[1].shape == (maps.shape[1],)


def test_a_network_without_batch_norm_has_none() -> None:
    assert norms_before_activation(load("model", "vit6")(10, 3, 32)) == [None] * 4
    assert norms_before_activation(load("model", "simplecnn_mnist")(10, 1, 28)) == [None] * 3


@pytest.mark.parametrize("name", sorted(entries("model")))
def test_what_the_sources_say_is_what_the_networks_have(name: str) -> None:
    channels, size = (4, 64) if name.startswith("fused") else (1, 28) if "mnist" in name else (3, 32)
    with torch.device("meta"):
        model = load("model", name)(10, channels, size)
    assert declares_taps(Component(name=name), PREACTIVATIONS) == hasattr(model, "preactivation_taps")
    assert [*model.preactivation_taps, "pooled"] == list(model.feature_taps)
    assert all(model.get_submodule(tap) for tap, _ in model.preactivation_taps.values())
