"""A captured step, tried without a GPU: what it records is done again by Python, from the same memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import nn

from kd.catalog import load
from kd.distill.cached_teacher import CachedTeacher
from kd.distill.objective import WeightedTerms, make_term
from kd.train.average import WeightAverage
from kd.train.captured_step import CapturedStep, Work
from kd.train.loop import fit
from kd.train.meter import Meter
from kd.train.schedules import cosine
from kd.train.state import Training
from kd.train.step import Batch, Losses, Mixed
from tests.kd.train.conftest import CrossEntropy, validate

EPOCHS, STEPS = 3, 4


class MixedBatches:
    """Batches that are a function of (epoch, step), each mixed by a share of its own where asked for."""

    steps = STEPS

    def __init__(self, mixed: bool) -> None:
        self._mixed = mixed

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        for step in range(first_step, self.steps):
            draw = torch.Generator().manual_seed(100 * epoch + step)
            images = torch.randn(6, 1, 2, 2, generator=draw)
            labels = (images.flatten(1).sum(1) > 0).long()
            share = float(torch.rand((), generator=draw))
            mixed = Mixed(labels=labels.flip(0), share=share) if self._mixed else None
            yield Batch(images=images, labels=labels, indices=torch.arange(6), view=epoch, mixed=mixed)


def warmed_up(work: Work) -> Work:
    """Do what a recording does to a training: the work, several times, before it counts."""
    for _ in range(3):
        work()
    return work


def trained(
    captured: bool, *, optimizer: str = "sgd", term: str = "kd", mixed: bool = False, accumulate: int = 1
) -> Training:
    torch.manual_seed(0)
    first = nn.Linear(4, 8, bias=False)
    model = nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    views = {"logits": torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(9))}

    def softer(epoch: int) -> float:
        return 4.0 / 2**epoch

    objective = WeightedTerms(
        [make_term("ce", 0.5), *([] if mixed else [make_term(term, 0.5, {"warmup": 2} if term == "dkd" else {})])],
        student=model,
        teacher=None if mixed else CachedTeacher(views, device="cpu"),
        temperature=None if mixed else softer,
        numbers_on=torch.device("cpu") if captured else None,
    )
    training = Training(
        model=model,
        optimizer=load("optimizer", optimizer)(model.parameters(), lr=0.1),
        meter=Meter(terms=objective.names, steps=STEPS, num_classes=2, device=torch.device("cpu")),
        average=WeightAverage(model, 0.9),
    )
    captured_step = partial(CapturedStep, training=training, objective=objective, record=warmed_up)
    fit(
        training,
        epochs=EPOCHS,
        batches=MixedBatches(mixed),
        objective=objective,
        schedule=cosine(EPOCHS, warmup=1),
        validate=validate,
        clip=1.0,
        accumulate=accumulate,
        **({"made_of": captured_step} if captured else {}),
    )
    return training


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw"},
        {"term": "dkd"},  # its warm-up follows the number of the epoch
        {"mixed": True},
        {"accumulate": 2},
    ],
    ids=str,
)
def test_a_captured_training_is_the_plain_one_up_to_the_rounding_of_its_learning_rates(
    options: dict[str, object],
) -> None:
    plain, captured = (trained(captured, **options) for captured in (False, True))
    assert captured.rows[-1]["learning_rate"] == plain.rows[-1]["learning_rate"]
    for column in ("train_loss", "train_accuracy", "val_loss"):
        assert [row[column] for row in captured.rows] == pytest.approx([row[column] for row in plain.rows], rel=1e-5)
    for ours, theirs in ((captured.model, plain.model), (captured.average, plain.average)):
        weights = [one.state_dict() if isinstance(one, nn.Module) else one.weights for one in (ours, theirs)]
        torch.testing.assert_close(*map(dict, weights), rtol=1e-4, atol=1e-6)
    groups = [it.optimizer.state_dict()["param_groups"] for it in (captured, plain)]
    assert groups[0] == groups[1]  # no tensor among them: a checkpoint serves every form of the step


def test_a_step_is_recorded_once_and_reads_every_batch(training: Callable[[], Training]) -> None:
    recordings = []

    class Counts:
        asks_epoch = False
        names = ("ce",)

        def follow(self, view: int) -> None:
            pass

        def __call__(self, model: nn.Module, batch: Batch) -> Losses:
            places.add(batch.images.data_ptr())
            seen.append(batch.images.clone())
            return CrossEntropy()(model, batch)

    def record(work: Work) -> Work:
        recordings.append(work)
        return work

    places: set[int] = set()
    seen: list[torch.Tensor] = []
    it, objective = training(), Counts()
    batches = MixedBatches(mixed=False)
    fit(
        it, epochs=1, batches=batches, objective=objective, schedule=cosine(1), validate=validate,
        made_of=partial(CapturedStep, training=it, objective=objective, record=record),
    )  # fmt: skip
    assert (len(recordings), len(places)) == (1, 1)
    assert all(map(torch.equal, seen, [batch.images for batch in batches.epoch(0)]))
