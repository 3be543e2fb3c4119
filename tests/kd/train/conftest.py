"""A small training that the tests of the loop and of its state share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kd.evaluate.metrics import Metrics
from kd.train.loop import fit
from kd.train.meter import Meter
from kd.train.optimizers import sgd
from kd.train.schedules import cosine
from kd.train.state import Training
from kd.train.step import Batch, Losses

EPOCHS, STEPS = 3, 4


class RandomBatches:
    """Batches that are a function of (epoch, step)."""

    steps = STEPS

    def epoch(self, epoch: int, *, first_step: int) -> Iterator[Batch]:
        for step in range(first_step, self.steps):
            generator = torch.Generator().manual_seed(100 * epoch + step)
            images = torch.randn(6, 1, 2, 2, generator=generator)
            labels = (images.flatten(1).sum(1) > 0).long()
            yield Batch(images=images, labels=labels, indices=torch.arange(6), view=epoch)


class CrossEntropy:
    """The simplest objective."""

    names = ("ce",)

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        logits = model(batch.images)
        loss = F.cross_entropy(logits, batch.labels)
        return Losses(total=loss, parts=loss.detach()[None], logits=logits.detach())


def new_training() -> Training:
    """A network with batch norm and dropout, so that buffers and random numbers matter."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    meter = Meter(terms=["ce"], steps=STEPS, num_classes=2, device=torch.device("cpu"))
    return Training(model=model, optimizer=sgd(model.parameters(), lr=0.1), meter=meter)


def validate(model: nn.Module) -> Metrics:
    """A stand-in that depends on the weights."""
    accuracy = float(torch.sigmoid(model[1].weight.detach().sum()))
    return Metrics(accuracy=accuracy, precision=0.0, recall=0.0, f1_score=0.0, loss=1 - accuracy)


@pytest.fixture
def training() -> Callable[[], Training]:
    return new_training


@pytest.fixture
def run() -> Callable[..., None]:
    """Train to the end; keyword arguments override those of ``fit``."""

    def go(training: Training, **overrides) -> None:
        arguments = {
            "epochs": EPOCHS,
            "batches": RandomBatches(),
            "objective": CrossEntropy(),
            "schedule": cosine(EPOCHS, warmup=1),
            "validate": validate,
        }
        fit(training, **{**arguments, **overrides})

    return go
