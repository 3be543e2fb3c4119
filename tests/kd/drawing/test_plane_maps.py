"""Maps of features in a plane."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kd.drawing.plane_maps import draw, names_of, tsne, umap
from kd.errors import UserError


def test_a_map_keeps_two_groups_apart_and_is_the_same_again() -> None:
    generator = torch.Generator().manual_seed(0)
    features: Tensor = torch.randn(24, 5, generator=generator)
    features[12:] += 50
    points = tsne(features)
    assert points.shape == (24, 2)
    nearest = torch.cdist(torch.from_numpy(points), torch.from_numpy(points)).fill_diagonal_(torch.inf).argmin(dim=1)
    assert all((here < 12) == (there < 12) for here, there in enumerate(nearest.tolist()))
    assert (tsne(features) == points).all()


def test_labels_are_named_alone_together_and_when_there_are_none() -> None:
    assert names_of(torch.tensor([1, 0]), ("cat", "dog")) == ["dog", "cat"]
    several = torch.tensor([[1, 1], [0, 1], [0, 0]], dtype=torch.uint8)
    assert names_of(several, ("fire", "smoke")) == ["fire and smoke", "smoke", "none"]


def test_a_drawing_is_a_png(tmp_path: Path) -> None:
    draw(torch.randn(4, 2).numpy(), ["a", "b", "a", "b"], "title", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UserError, match="pip install umap-learn"):
        umap(torch.randn(5, 2))
