"""Sums of an epoch: weighted means, divergence, save and load."""

from __future__ import annotations

import pytest
import torch

from kd.errors import UserError
from kd.train.meter import Meter

LOGITS = torch.eye(3)


def meter(steps: int = 2) -> Meter:
    return Meter(terms=["ce", "kd"], steps=steps, num_classes=3, device=torch.device("cpu"))


def test_the_means_weigh_steps_by_their_images() -> None:
    it = meter()
    it.add(0, torch.tensor([3.0, 1.0, 2.0]), LOGITS, torch.tensor([0, 1, 2]))
    it.add(1, torch.tensor([7.0, 5.0, 6.0]), LOGITS[:1], torch.tensor([1]))
    metrics, terms = it.summary()
    assert metrics.loss == pytest.approx(4.0)
    assert terms == pytest.approx({"ce": 2.0, "kd": 3.0})
    assert metrics.accuracy == 0.75


def test_divergence_names_epoch_step_and_the_remedy_in_one_line() -> None:
    it = meter(steps=5)
    it.check_finite(0)
    for step in (2, 4):
        it.add(step, torch.tensor([float("nan"), 0.0, 0.0]), LOGITS, torch.tensor([0, 1, 2]))
    with pytest.raises(UserError, match=r"diverged at epoch 4, step 3: .*lower the learning rate") as error:
        it.check_finite(3)
    assert "\n" not in str(error.value)


def test_a_loaded_meter_goes_on_where_the_saved_one_was() -> None:
    whole, first, second = meter(), meter(), meter()
    one, two = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 4.0, 2.5])
    labels = torch.tensor([0, 0, 1])
    whole.add(0, one, LOGITS, labels)
    whole.add(1, two, LOGITS, labels)
    first.add(0, one, LOGITS, labels)
    second.load(first.state())
    second.add(1, two, LOGITS, labels)
    assert second.summary() == whole.summary()


def test_reset_forgets_everything() -> None:
    it, fresh = meter(), meter()
    it.add(0, torch.tensor([float("inf"), 1.0, 2.0]), LOGITS, torch.tensor([0, 1, 2]))
    it.reset()
    it.check_finite(0)
    assert (it.losses == fresh.losses).all()
    assert (it.confusion == fresh.confusion).all()
    assert it.counts == fresh.counts
