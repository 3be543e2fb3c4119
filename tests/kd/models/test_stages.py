"""Stages found by watching: where sizes change, in a chain at the top or below it, and of tokens evenly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kd.models.stages import find_stages, spread


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [
        ([32, 16, 8, 4, 2], [1, 2, 3, 4]),
        ([16, 16, 8, 8, 8, 4], [1, 4, 5]),
        ([2, 4, 8, 16, 32], [1, 2, 3, 4]),
        ([17] * 12, [2, 5, 8, 11]),
        ([17, 17], [0, 1]),
        ([7], [0]),
        ([], []),
    ],
)
def test_a_stage_ends_where_the_size_changes_and_equal_blocks_are_divided(sizes: list[int], ends: list[int]) -> None:
    assert spread(sizes) == ends


def half(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 2, 2)


def test_the_chain_with_most_changes_is_taken_not_the_longest() -> None:
    same = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(9)))
    network = nn.Sequential()
    network.features = nn.Sequential(half(3), half(3), same, half(3), half(3))
    stages = find_stages(network, torch.zeros(1, 3, 32, 32))
    assert [stage.path for stage in stages] == ["features.0", "features.2", "features.3", "features.4"]


class ChannelsLast(nn.Module):
    """Maps as Swin has them: [B, H, W, C]."""

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW.permute(0, 2, 3, 1)


def test_maps_with_channels_last_are_known() -> None:
    network = nn.Sequential(half(3), half(3), half(3), half(3), ChannelsLast())
    assert [stage.channels_last for stage in find_stages(network, torch.zeros(1, 3, 32, 32))] == [False] * 3 + [True]


def test_watching_leaves_the_mode_and_no_hooks() -> None:
    network = nn.Sequential(half(3), nn.BatchNorm2d(3)).train()
    find_stages(network, torch.ones(1, 3, 8, 8))
    assert network.training
    assert network[1].num_batches_tracked == 0
    assert not network[0]._forward_hooks
