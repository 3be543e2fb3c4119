"""Widths of layers: read, cut, refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.errors import CheckpointError
from kd.models.convnet import convnet
from kd.models.widths import read_widths, set_widths


def narrow() -> nn.Module:
    """A convnet with 5 and 6 channels instead of 8 and 16."""
    model = convnet(3, 1, 8, width=8, blocks=2)
    widths = {"blocks.0.0": (5, 1, 1), "blocks.0.1": (5,), "blocks.1.0": (6, 5, 1), "blocks.1.1": (6,), "fc": (3, 6)}
    set_widths(model, widths)
    assert {name: read_widths(model)[name] for name in widths} == widths
    return model


def test_a_network_that_was_cut_down_runs_and_trains() -> None:
    model = narrow().train()
    logits = model(torch.randn(4, 1, 8, 8))
    logits.sum().backward()
    assert logits.shape == (4, 3)
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())


def test_depthwise_convolutions_keep_one_channel_per_group() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8))
    set_widths(model, {"0": (5, 5, 5)})
    assert model(torch.randn(1, 5, 3, 3)).shape == (1, 5, 1, 1)


def test_frozen_parameters_stay_frozen() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).requires_grad_(False)
    set_widths(model, {"0": (2, 4)})
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"blocks.9": (1, 1, 1)}, "no layer 'blocks.9'"),
        ({"flatten": (1,)}, "no layer 'flatten'"),
        ({"fc": (3, 17)}, r"layer 'fc' has widths \[3, 16\] and cannot be cut down to \[3, 17\]"),
        ({"fc": (3, 0)}, "cannot be cut down"),
        ({"fc": (3,)}, "cannot be cut down"),
    ],
)
def test_widths_that_do_not_fit_are_refused_by_layer(widths: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        set_widths(convnet(3, 1, 8, width=8, blocks=2), widths)
