"""Weights and their card: stable bytes, rebuilt models, one-line refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kd.errors import CheckpointError
from kd.train.weights import ModelCard, load_model, load_weights, save_weights

CARD = ModelCard(
    name="convnet",
    arguments={"width": 4, "blocks": 2},
    classes=("cat", "dog", "owl"),
    in_channels=1,
    image_size=8,
    mean=(0.5,),
    std=(0.25,),
)


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = CARD.build().to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", model.state_dict(), CARD)
    loaded, card = load_model(tmp_path / "w.safetensors")
    assert card == CARD
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(loaded.eval()(images), model.eval()(images))


def test_equal_weights_give_equal_bytes_whatever_their_memory_order(tmp_path: Path) -> None:
    weights = CARD.build().state_dict()
    strided = {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in weights.items()
    }
    save_weights(tmp_path / "a", weights, CARD)
    save_weights(tmp_path / "b", strided, CARD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_foreign_and_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    good, damaged, foreign = (tmp_path / name for name in ("good", "damaged", "foreign"))
    save_weights(good, CARD.build().state_dict(), CARD)
    damaged.write_bytes(good.read_bytes()[:100])
    save_file({"w": torch.zeros(1)}, foreign)
    for path, reason in (
        (damaged, "cannot be read"),
        (foreign, "no model card"),
        (tmp_path / "gone", "cannot be read"),
    ):
        with pytest.raises(CheckpointError, match=reason) as error:
            load_weights(path)
        assert str(path) in str(error.value)


def test_weights_of_another_architecture_are_refused_in_one_line(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", CARD.build().state_dict(), replace(CARD, arguments={"width": 8}))
    with pytest.raises(CheckpointError, match="do not fit convnet") as error:
        load_model(tmp_path / "w")
    assert "\n" not in str(error.value)
