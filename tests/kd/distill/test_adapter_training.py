"""Adapters are built from what was seen and trained by the student's optimizer."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from kd import catalog
from kd.distill.adapter_training import build_adapter, train_beside
from kd.losses.builders import BUILDERS
from kd.losses.inputs import DATA
from kd.train.optimizers import adam, adamw, sgd

SEEN = {"student_maps": [torch.zeros(1, 2, 4, 4)] * 3, "teacher_maps": [torch.zeros(1, 5, 4, 4)] * 3}


def test_a_builder_asks_only_for_what_its_loss_makes_seen() -> None:
    for name, builder in BUILDERS.items():
        entry = catalog.entries("loss")[name]
        for parameter in inspect.signature(builder).parameters.values():
            shared = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert parameter.name in (entry.arguments if shared else {*entry.inputs, *DATA})


def test_the_arguments_of_the_loss_reach_its_builder() -> None:
    assert len(build_adapter("vid", SEEN, {}).scales) == 3
    assert len(build_adapter("vid", SEEN, {"stages": [2]}).scales) == 1


@pytest.mark.parametrize("make", [sgd, adam, adamw])
def test_adapters_are_trained_and_their_scales_and_offsets_are_not_decayed(make) -> None:
    student = nn.Linear(2, 2)
    optimizer = make(student.parameters(), lr=0.1, weight_decay=0.3)
    adapters = nn.ModuleDict({name: build_adapter(name, SEEN, {}) for name in ("fitnet", "vid")})
    train_beside(optimizer, adapters)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    assert len(decay) == len([*student.parameters(), *adapters.parameters()])
    for name, parameter in adapters.named_parameters():
        assert decay[id(parameter)] == (0.0 if parameter.ndim < 2 else 0.3), name


def test_no_adapters_leave_the_optimizer_as_it_was() -> None:
    optimizer = sgd(nn.Linear(2, 2).parameters(), lr=0.1)
    train_beside(optimizer, nn.ModuleDict())
    assert len(optimizer.param_groups) == 1
