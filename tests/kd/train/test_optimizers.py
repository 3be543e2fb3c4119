"""The optimizers reach torch with the arguments they were given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.catalog import entries, load


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
