"""Feature maps and attention, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd.drawing.map_grid import attention, draw_maps
from kd.errors import UserError


def test_attention_is_highest_where_the_maps_are_strongest_of_either_sign() -> None:
    maps = torch.zeros(3, 4, 4)
    maps[:, 3, 0] = torch.tensor([5.0, -5.0, 0.0])
    shown = attention(maps, (8, 8))
    assert shown.shape == (8, 8)
    assert divmod(int(shown.argmax()), 8) in {(7, 0), (6, 0), (7, 1)}
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1


def test_maps_that_are_equal_everywhere_have_no_attention() -> None:
    assert not attention(torch.ones(2, 3, 3), (6, 6)).any()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_drawing_of_grey_rgb_and_rgb_with_infrared_is_a_png(channels: int, tmp_path: Path) -> None:
    draw_maps(torch.rand(channels, 8, 8), torch.randn(9, 4, 4), "title", tmp_path / "x.png", most=7)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_layer_without_maps_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pooled of x: this layer puts out no maps, but \[9\] per image"):
        draw_maps(torch.rand(1, 8, 8), torch.randn(9), "pooled of x", tmp_path / "x.png", most=7)
