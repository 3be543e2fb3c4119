"""What losses see of a batch."""

from __future__ import annotations

from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kd.distill.outputs import Outputs
from kd.errors import SpecError
from kd.models.resnet import resnet8
from kd.train.step import Batch

BATCH = Batch(images=torch.randn(2, 3, 8, 8), labels=torch.tensor([1, 0]), indices=torch.tensor([9, 4]), view=3)


class Tokens(nn.Module):
    """A transformer as far as its taps go: one class token and 2 x 2 patches of 3 channels."""

    feature_taps = MappingProxyType({"block": "block"})

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        patches = torch.arange(12.0).reshape(1, 4, 3).expand(len(images), -1, -1)
        return self.block(torch.cat([torch.full((len(images), 1, 3), -1.0), patches], dim=1)).mean(1)


def seen(student: nn.Module, *wanted: str, teacher: Any = None) -> dict[str, Any]:
    return Outputs(student=student, teacher=teacher, wanted=wanted, autocast=nullcontext)(student, BATCH)


def test_a_teacher_that_is_not_wanted_is_not_run_and_nothing_is_tapped() -> None:
    def teacher(batch: Batch) -> dict[str, Tensor]:
        raise AssertionError("the teacher ran")

    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))  # declares no taps
    values = seen(model, "student_logits_BC", "labels_B", teacher=teacher)
    assert sorted(values) == ["indices_B", "labels", "labels_B", "student_logits_BC"]
    assert values["indices_B"].tolist() == [9, 4]


def test_features_of_a_network_without_taps_cannot_be_wanted() -> None:
    with pytest.raises(SpecError, match="declares no feature_taps"):
        seen(nn.Linear(2, 2), "student_maps")


def test_maps_come_early_to_late_and_the_pooled_features_by_themselves() -> None:
    model = resnet8(5, 3, 8, width=4)
    values = seen(model, "student_maps", "student_pooled_BD")
    assert [maps.shape[1] for maps in values["student_maps"]] == [4, 8, 16, 32]
    torch.testing.assert_close(values["student_pooled_BD"], values["student_maps"][-1].mean((2, 3)))


def test_tokens_become_a_map_of_the_patches() -> None:
    (maps,) = seen(Tokens(), "student_maps")["student_maps"]
    assert maps.shape == (2, 3, 2, 2)
    assert maps[0, 0].tolist() == [[0, 3], [6, 9]]
    assert maps[1, 2].tolist() == [[2, 5], [8, 11]]


def test_what_a_network_does_not_declare_is_missed_in_one_line() -> None:
    with pytest.raises(SpecError, match="asks for student_pooled_BD, and the student gives none"):
        seen(Tokens(), "student_pooled_BD")


def test_a_dry_run_leaves_batch_statistics_mode_and_gradients_as_they_were() -> None:
    model = resnet8(5, 3, 8, width=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs = Outputs(student=model, teacher=None, wanted=["student_maps"], autocast=nullcontext)
    values = outputs.dry_run(model, BATCH)
    assert not any(maps.requires_grad for maps in values["student_maps"])
    assert model.training
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
