"""Twenty steps of training, pinned: a change of any default on the path shows here."""

from __future__ import annotations

import pytest
import torch

from kd.data.sources.synthetic import synthetic
from kd.data.store import DeviceStore
from kd.distill.objective import WeightedTerms, make_term
from kd.models.convnet import convnet
from kd.train.batches import AugmentedBatches
from kd.train.device import prepare_runtime
from kd.train.optimizers import sgd
from kd.train.plain_step import train_step
from kd.train.update import Update

# float32, one thread; the same to 2e-5 on AVX-512, AVX2 and SSE4.1
CURVE = """
    1.6928227 1.8288347 1.7202588 1.4299037 1.2849362 1.4633555 1.4329585 1.2933849 1.3318161 1.4657404
    1.3590089 1.4232230 1.4340279 1.4012743 1.3227916 1.3552037 1.3320636 1.4212521 1.2498552 1.3272927
"""


def test_twenty_steps_give_the_pinned_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_THREADS", "1")
    runtime = prepare_runtime(precision="float32")
    arrays = synthetic(None, classes=4, size=8, train=320, test=4)
    store = DeviceStore(
        arrays.train_images,
        arrays.train_labels,
        mean=arrays.mean,
        std=arrays.std,
        device=runtime.device,
        padding=1,
        flip=True,
    )
    torch.manual_seed(0)
    model = runtime.place(convnet(4, 3, 8, width=4)).train()
    objective = WeightedTerms([make_term("ce", 1.0)], student=model, autocast=runtime.autocast)
    update = Update(sgd(model.parameters(), lr=0.02))
    batches = AugmentedBatches(store, batch_size=16, seed=5)
    losses = [train_step(model, update, objective, [batch]).total.item() for batch in batches.epoch(0)]
    assert losses == pytest.approx([float(value) for value in CURVE.split()], rel=5e-5)
