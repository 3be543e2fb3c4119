"""Pruning: channels are really gone, the least important first, and the plan rebuilds the network."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd.catalog import load
from kd.compress.prune import prune_channels
from kd.errors import SpecError
from kd.models.widths import read_widths, set_widths
from kd.train.weights import ModelCard, load_model, save_weights

FAMILIES = {
    "convnet": {"width": 10},
    "resnet8": {"width": 10},
    "resnet50": {"width": 4},
    "mobilenet_v2": {"width": 0.25},
}


@pytest.mark.parametrize("name", ["shufflenet_v1", "shufflenet_v2"])
def test_a_network_that_shuffles_its_channels_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SpecError, match="ShuffleNet cannot be pruned: torch-pruning does not follow its channels"):
        prune_channels(load("model", name)(7, 3, 16), torch.randn(3, 16, 16), ratio=0.4)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_loses_its_share_and_the_network_still_runs(name: str) -> None:
    model = load("model", name)(7, 3, 16, **FAMILIES[name])
    old = read_widths(model)
    pruning = prune_channels(model, torch.randn(3, 16, 16), ratio=0.4)
    for path, (before, *_) in old.items():
        layer = model.get_submodule(path)
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.shape[0] == layer.out_channels == int(before * 0.6), path
    assert pruning.spared == ()
    assert sum(p.numel() for p in model.parameters()) == pruning.after.parameters < 0.5 * pruning.before.parameters
    assert pruning.after.flops < 0.55 * pruning.before.flops
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 7)


def test_the_channels_of_least_norm_go() -> None:
    model = nn.Sequential(nn.Conv2d(1, 5, 1), nn.Flatten(), nn.Linear(5, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([3.0, -9.0, 1.0, 7.0, -2.0]).view(5, 1, 1, 1))
        model[0].bias.copy_(torch.arange(5.0))
        model[2].weight.fill_(1.0)
    prune_channels(model, torch.randn(1, 1, 1), ratio=0.4)
    assert model[0].bias.tolist() == [0.0, 1.0, 3.0]  # those of weights 3, -9 and 7
    assert model[2].in_features == 3


def test_channels_that_did_nothing_are_not_missed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3),
        nn.Flatten(),
        nn.Linear(4 * 16, 5),
    ).eval()
    with torch.no_grad():
        for weights, dead in ((model[0].weight, [1, 4]), (model[3].weight, [2]), (model[3].bias, [2])):
            weights[dead] = 0
    images = torch.randn(6, 3, 8, 8)
    whole = model(images)
    prune_channels(model, images[0], ratio=0.25)
    assert [tuple(model[index].weight.shape) for index in (0, 3, 5)] == [(6, 3, 3, 3), (3, 6, 3, 3), (5, 48)]
    torch.testing.assert_close(model(images), whole)


def test_mode_gradients_and_repetition(network: nn.Module, images: Tensor) -> None:
    first, second = copy.deepcopy(network), copy.deepcopy(network)
    first.conv1.requires_grad_(False)
    first.train()
    prune_channels(first, images[0])
    prune_channels(second, images[0])
    assert first.training
    assert not second.training
    assert [name for name, p in first.named_parameters() if not p.requires_grad] == ["conv1.weight"]
    assert all(parameter.grad is None for parameter in first.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_a_pruned_network_is_rebuilt_from_its_file(tmp_path: Path) -> None:
    card = ModelCard(
        name="mobilenet_v2",
        arguments={"width": 0.25},
        classes=("a", "b", "c"),
        in_channels=1,
        image_size=16,
        mean=(0.5,),
        std=(0.25,),
    )
    model = card.build()
    images = torch.randn(2, 1, 16, 16)
    pruning = prune_channels(model, images[0])
    pruned_card = ModelCard(**{name: getattr(card, name) for name in ModelCard.__slots__} | {"widths": pruning.widths})
    save_weights(tmp_path / "pruned.safetensors", model.state_dict(), pruned_card)
    loaded, found = load_model(tmp_path / "pruned.safetensors")
    assert found == pruned_card
    assert torch.equal(loaded.eval()(images), model.eval()(images))


def test_the_plan_holds_only_what_changed() -> None:
    model = load("model", "convnet")(4, 1, 8, width=10, blocks=2)
    fresh = load("model", "convnet")(4, 1, 8, width=10, blocks=2)
    pruning = prune_channels(model, torch.randn(1, 8, 8))
    assert pruning.widths == {
        "blocks.0.0": (6, 1, 1),
        "blocks.0.1": (6,),
        "blocks.1.0": (12, 6, 1),
        "blocks.1.1": (12,),
        "fc": (4, 12),
    }
    set_widths(fresh, pruning.widths)
    fresh.load_state_dict(model.state_dict())


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_ratio_that_is_no_fraction_is_refused(ratio: float, network: nn.Module, images: Tensor) -> None:
    with pytest.raises(SpecError, match="above 0 and below 1"):
        prune_channels(network, images[0], ratio=ratio)


def test_a_ratio_that_would_empty_a_layer_is_refused_by_its_name(network: nn.Module, images: Tensor) -> None:
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(
        SpecError, match=r"ratio: 0.9 would leave layer 'conv1' none of its 8 channels; use at most 0.87"
    ):
        prune_channels(network, images[0], ratio=0.9)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    prune_channels(copy.deepcopy(network), images[0], ratio=0.87)


def test_layers_that_nobody_understands_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(8 * 36, 2))
    with pytest.raises(SpecError, match=r"layer '1' \(GroupNorm\) cannot be pruned"):
        prune_channels(model, torch.randn(1, 8, 8))
    with pytest.raises(SpecError, match="nothing to prune"):
        prune_channels(nn.Flatten(), torch.randn(1, 8, 8))
