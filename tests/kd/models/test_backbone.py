"""Freezing: what gets a gradient, and what batch norms remember."""

from __future__ import annotations

import torch

from kd.models.resnet import resnet18


def test_a_frozen_backbone_keeps_weights_and_statistics_and_the_classifier_learns() -> None:
    model = resnet18(7, 3, 16, width=4, freeze_backbone=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        model.train()
        optimizer.zero_grad()
        model(torch.randn(4, 3, 16, 16)).square().mean().backward()
        optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_training_mode_spares_frozen_batch_norms_only() -> None:
    model = resnet18(7, 3, 16, width=4)
    model.freeze(but=("fc", "layer4"))
    model.eval().train()
    assert model.training
    assert model.layer4.training
    assert model.layer4[0].bn1.training
    assert not model.layer1[0].bn1.training
    assert not any(module.training for module in model.eval().modules())
