"""Order of layers and dropout of the wide residual networks."""

from __future__ import annotations

import torch

from kd.models.wide_resnet import WideBlock, wrn16_2


def test_a_block_of_equal_width_adds_to_its_raw_input() -> None:
    block = WideBlock(4, 4, 1, 0.0).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 4, 8, 8)
    before = x.clone()
    torch.testing.assert_close(block(x), before)
    assert torch.equal(x, before)


def test_where_the_width_changes_the_shortcut_starts_from_the_activated_input() -> None:
    block = WideBlock(4, 8, 2, 0.0).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(block(x), block.shortcut(torch.relu(block.bn1(x))))


def test_dropout_acts_in_training_only() -> None:
    model = wrn16_2(10, 3, 8, dropout=0.5)
    x = torch.randn(4, 3, 8, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
