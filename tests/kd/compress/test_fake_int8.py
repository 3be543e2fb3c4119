"""Training for int8: the rounding is int8's, gradients pass, and the file behaves as training did."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.compress.fake_int8 import InputRange, finish, prepare, round_weights
from kd.compress.onnx_model import OnnxModel
from kd.compress.quantize import static_int8
from kd.errors import SpecError


def test_weights_lie_on_255_values_per_channel() -> None:
    weights = torch.randn(3, 4, 3, 3)
    rounded = round_weights(weights)
    steps = 127 * rounded / weights.flatten(1).abs().amax(1).view(3, 1, 1, 1)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert float((rounded - weights).abs().max()) <= float(weights.abs().max()) / 127 / 2 * 1.001
    torch.testing.assert_close(round_weights(rounded), rounded)
    assert not round_weights(torch.zeros(2, 3)).any()


def test_folding_a_scale_per_channel_commutes_with_rounding() -> None:
    weights, scale = torch.randn(6, 5), torch.tensor([0.1, -3.0, 7.0, 1.0, -0.02, 2.0])[:, None]
    torch.testing.assert_close(round_weights(weights * scale), round_weights(weights) * scale)


def test_inputs_take_256_values_that_include_zero() -> None:
    values = torch.linspace(-1, 3, 5001)
    rounded = InputRange().train()(values)
    assert len(rounded.unique()) == 256
    assert 0.0 in rounded
    assert float((rounded - values).abs().max()) <= 4 / 255 / 2 * 1.02


def test_ranges_follow_the_batches_in_training_only() -> None:
    layer = InputRange()
    values = torch.tensor([0.0, 2.0])
    assert torch.equal(layer.eval()(values), values)  # nothing seen yet
    layer.train()(values)
    assert (float(layer.low), float(layer.high)) == (0.0, 2.0)
    layer(torch.tensor([-4.0, 4.0]))
    assert (float(layer.low), float(layer.high)) == pytest.approx((-0.2, 2.1))
    layer.eval()(torch.tensor([100.0]))
    assert float(layer.high) == pytest.approx(2.1)
    assert float(layer(torch.tensor([100.0]))) == pytest.approx(2.1, abs=0.01)  # cut off


def test_parameters_keep_names_and_values(network: nn.Module) -> None:
    prepared = prepare(network)
    own, theirs = dict(network.named_parameters()), dict(prepared.named_parameters())
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert type(network.conv1) is nn.Conv2d  # the original is left alone


def test_a_network_learns_with_rounding_and_its_state_survives(network: nn.Module, images: Tensor) -> None:
    labels = (images.mean((1, 2, 3)) > 0).long()
    model = prepare(network).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert losses[-1] < 0.7 * losses[0]
    again = prepare(network)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(images), model.eval()(images))


def test_the_finished_network_is_ordinary_and_on_the_int8_grid(network: nn.Module, images: Tensor) -> None:
    prepared = prepare(network).train()
    prepared(images)
    finished = finish(prepared)
    assert [type(module) for module in finished.modules()] == [type(module) for module in network.modules()]
    assert finished.state_dict().keys() == network.state_dict().keys()
    assert torch.equal(finished.conv1.weight, round_weights(network.conv1.weight))


def test_the_int8_file_predicts_what_training_saw(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    prepared = prepare(network).train()
    with torch.no_grad():
        for _ in range(30):
            prepared(images)
        simulated = prepared.eval()(images)
        exact = finish(prepared).eval()(images)
    static_int8(finish(prepared), [images], tmp_path / "int8.onnx")
    found = OnnxModel(tmp_path / "int8.onnx")(images)
    error = (found - simulated).norm() / simulated.norm()
    assert error < 0.05
    assert not torch.equal(simulated, exact)


def test_gradients_pass_as_if_nothing_had_been_rounded() -> None:
    layer = prepare(nn.Sequential(nn.Linear(3, 2)))
    plain = copy.deepcopy(finish(layer))
    values = torch.tensor([[0.0, 1.0, 2.0]])
    for model in (layer.train(), plain):
        model(values).sum().backward()
    torch.testing.assert_close(layer[0].bias.grad, plain[0].bias.grad)
    torch.testing.assert_close(layer[0].weight.grad, plain[0].weight.grad, atol=0.01, rtol=0)


def test_nothing_to_round_is_refused() -> None:
    with pytest.raises(SpecError, match="no convolution and no linear layer"):
        prepare(nn.Sequential(nn.Flatten()))
