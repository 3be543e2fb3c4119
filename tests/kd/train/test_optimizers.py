"""The optimizers reach torch with the arguments they were given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.catalog import entries, load
from kd.train.optimizers import adamw, decay_groups, speed_up_norm_offsets
from kd.vision_libraries import import_vision


@pytest.mark.parametrize("name", entries("optimizer"))
def test_every_optimizer_lowers_a_quadratic(name: str) -> None:
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = load("optimizer", name)([weight], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.abs().max().item() < 0.3


def test_the_arguments_arrive() -> None:
    weight = nn.Parameter(torch.zeros(1))
    group = load("optimizer", "sgd")([weight], lr=0.1, momentum=0.5, weight_decay=0.01, nesterov=True).param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (0.1, 0.5, 0.01, True)
    for name in ("adam", "adamw"):
        group = load("optimizer", name)([weight], lr=0.1, beta1=0.8, beta2=0.9).param_groups[0]
        assert group["betas"] == (0.8, 0.9)


def names_by_decay(model: nn.Module) -> tuple[list[str], list[str]]:
    """Return the names of the parameters that decay, and of those that do not."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = ([names[id(p)] for p in group["params"]] for group in decay_groups(model))
    return decayed, spared


def test_of_a_vit_only_the_matrices_decay() -> None:
    decayed, spared = names_by_decay(load("model", "vit6")(10, 3, 32))
    block = "network.blocks.{}.{}.weight"
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert decayed == [
        "network.patch_embed.proj.weight",
        *(block.format(number, layer) for number in range(6) for layer in layers),
        "network.head.weight",
    ]
    assert {"network.cls_token", "network.pos_embed", "network.norm.weight", "network.head.bias"} <= set(spared)


def test_of_a_resnet_only_convolutions_and_the_classifier_decay() -> None:
    decayed, spared = names_by_decay(load("model", "resnet8_cifar")(10, 3, 32))
    convolutions = ["conv1", *(f"layer{stage}.0.conv{number}" for stage in (1, 2, 3) for number in (1, 2))]
    shortcuts = [f"layer{stage}.0.downsample.0" for stage in (2, 3)]
    assert sorted(decayed) == sorted(f"{layer}.weight" for layer in (*convolutions, *shortcuts, "fc"))
    assert all(".bn" in name or "bn1" in name or ".downsample.1." in name or name == "fc.bias" for name in spared)


@pytest.mark.parametrize("model", ["vit6", "resnet20", "wrn16_2", "vgg8", "mobilenet_v2"])
def test_the_groups_are_those_of_timm(model: str) -> None:
    network = load("model", model)(10, 3, 32)
    inner = getattr(network, "network", None)  # timm's own, inside a ViT
    listed = {f"network.{name}" for name in inner.no_weight_decay()} if inner else set()
    spared, decayed = import_vision("timm.optim").param_groups_weight_decay(network, no_weight_decay_list=listed)
    for ours, theirs in zip(decay_groups(network), (decayed, spared), strict=True):
        assert list(map(id, ours["params"])) == list(map(id, theirs["params"]))


def test_tokens_and_positions_of_a_fused_vit_are_spared() -> None:
    with torch.device("meta"):
        _, spared = names_by_decay(load("model", "fused_vit_b16")(3, 4, 32))
    assert {f"{branch}.embedding.{name}" for branch in ("rgb", "ir") for name in ("class_token", "positions")} <= set(
        spared
    )


def test_an_optimizer_takes_groups_and_its_decay_spares_the_second() -> None:
    model = nn.Linear(2, 2)
    groups = adamw(decay_groups(model), lr=0.1, weight_decay=0.3).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.3), (1, 0.0)]


@pytest.mark.parametrize("groups", [False, True])
def test_offsets_of_norms_learn_faster_and_decay_as_before(groups: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    optimizer = load("optimizer", "sgd")(
        decay_groups(model) if groups else model.parameters(), lr=0.5, weight_decay=0.1
    )
    speed_up_norm_offsets(optimizer, model, 8)
    offsets = optimizer.param_groups[-1]
    assert [id(parameter) for parameter in offsets["params"]] == [id(model[1].bias)]
    assert (offsets["lr"], offsets["weight_decay"]) == (4.0, 0 if groups else 0.1 / 8)
    others = [parameter for group in optimizer.param_groups[:-1] for parameter in group["params"]]
    assert {id(parameter) for parameter in others} == {id(each) for each in model.parameters()} - {id(model[1].bias)}
    assert {group["lr"] for group in optimizer.param_groups[:-1]} == {0.5}
