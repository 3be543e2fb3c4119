"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.train.average import WeightAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_average_follows_its_formula_and_forgets_the_first_steps() -> None:
    model = network()
    average = WeightAverage(model, decay=0.6)
    expected = model[0].weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            model[0].weight.add_(1.0)
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
    torch.testing.assert_close(average.weights["0.weight"], expected)


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    model = network()
    average = WeightAverage(model, decay=0.9)
    model.train()(torch.randn(8, 3))
    average.update(0)
    assert average.weights["1.num_batches_tracked"] == 1
    torch.testing.assert_close(average.weights["1.running_mean"], 0.9 * model[1].running_mean)


def test_all_tensors_at_once_give_the_bits_of_one_by_one() -> None:
    model = network()
    average = WeightAverage(model, decay=0.9)
    expected = {name: value.clone() for name, value in average.weights.items()}
    for step in range(3):
        model.train()(torch.randn(8, 3))
        average.update(step)
        weight = 1 - (1 + step) / (10 + step)
        for name, value in model.state_dict().items():
            (expected[name].lerp_(value, weight) if value.is_floating_point() else expected[name].copy_(value))
    assert all(torch.equal(average.weights[name], value) for name, value in expected.items())


def test_a_model_wears_the_average_only_for_the_block_even_if_it_fails() -> None:
    model = network()
    own = {name: value.clone() for name, value in model.state_dict().items()}
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        average.weights["0.weight"].fill_(7.0)

    def fail() -> None:
        with average.worn_by(model):
            assert (model[0].weight == 7).all()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in own.items())


def test_the_average_is_a_copy() -> None:
    model = network()
    average = WeightAverage(model, decay=0.9)
    before = average.weights["0.weight"].clone()
    with torch.no_grad():
        model[0].weight.zero_()
    assert torch.equal(average.weights["0.weight"], before)
