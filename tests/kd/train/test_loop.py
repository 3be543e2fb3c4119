"""The loop: rows, learning rates, selection, divergence, and entering it anywhere."""

from __future__ import annotations

import io
import math

import pytest
import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from kd.errors import UserError
from kd.evaluate.metrics import Metrics
from kd.train.average import WeightAverage
from kd.train.optimizers import sgd
from kd.train.state import Training

COLUMNS = [
    "epoch",
    *(f"train_{name}" for name in ("loss", "accuracy", "precision", "recall", "f1_score")),
    *(f"val_{name}" for name in ("loss", "accuracy", "precision", "recall", "f1_score")),
    *("learning_rate", "epoch_time_sec", "gpu_memory_mb"),
]
TIMES = ("epoch_time_sec", "images_per_second")


def without_times(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def test_every_epoch_gives_a_row_with_the_promised_columns_first(training, run) -> None:
    it = training()
    run(it)
    assert [row["epoch"] for row in it.rows] == [1, 2, 3]
    for row in it.rows:
        assert list(row)[:14] == COLUMNS
        assert list(row)[14:] == ["loss_ce", "images_per_second"]
        assert row["loss_ce"] == row["train_loss"]


def test_the_learning_rate_follows_the_schedule_at_the_middle_of_each_step(training, run) -> None:
    it, seen = training(), []
    run(
        it,
        schedule=lambda epoch: epoch,
        after_step=lambda training: seen.append(training.optimizer.param_groups[0]["lr"]),
    )
    assert seen == pytest.approx([0.1 * (0.125 + 0.25 * step) for step in range(12)])
    assert [row["learning_rate"] for row in it.rows] == pytest.approx([0.0875, 0.1875, 0.2875])


@pytest.mark.parametrize(
    ("accuracies", "losses", "best"),
    [
        ([0.5, 0.7, 0.6], [1, 1, 1], 1),
        ([0.5, 0.7, 0.7], [1, 2, 1], 2),  # a tie goes to the lower loss
        ([0.7, 0.7, 0.6], [1, 1, 1], 0),  # then to the earlier epoch
    ],
)
def test_the_best_epoch_is_chosen_by_validation_accuracy_then_loss_then_order(
    training, run, accuracies, losses, best
) -> None:
    it, weights = training(), []
    scores = iter(zip(accuracies, losses, strict=True))

    def validate(model) -> Metrics:
        weights.append(model[1].weight.detach().clone())
        accuracy, loss = next(scores)
        return Metrics(accuracy=accuracy, precision=0.0, recall=0.0, f1_score=0.0, loss=loss)

    run(it, validate=validate)
    assert it.best_epoch == best
    assert torch.equal(it.best_weights["1.weight"], weights[best])
    assert it.validation(best).accuracy == accuracies[best]


class Stop(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_training_stopped_after_any_step_ends_with_the_same_bits(training, run, steps: int) -> None:
    whole = training()
    run(whole)

    file, taken = io.BytesIO(), 0

    def save_and_stop(it: Training) -> None:
        nonlocal taken
        taken += 1
        if taken == steps:
            torch.save(it.snapshot(), file)
            raise Stop

    with pytest.raises(Stop):
        run(training(), after_step=save_and_stop)
    torch.rand(17)  # the next process has drawn other random numbers before it resumes
    file.seek(0)
    resumed = training()
    resumed.restore(torch.load(file, weights_only=True))
    assert (resumed.epoch, resumed.step) in [divmod(steps, 4), (steps // 4 - 1, 4)]
    run(resumed)

    assert resumed.attempt == 2
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name
    for name, tensor in whole.best_weights.items():
        assert torch.equal(resumed.best_weights[name], tensor), name
    assert without_times(resumed.rows) == without_times(whole.rows)
    assert resumed.best_epoch == whole.best_epoch


def test_a_learning_rate_far_too_high_ends_in_one_line_that_says_so(training, run) -> None:
    it = training()
    with pytest.raises(UserError, match=r"diverged at epoch \d+, step \d+") as error:
        run(it, schedule=lambda epoch: 1e30)
    assert "\n" not in str(error.value)
    assert all(math.isfinite(value) for row in it.rows for value in row.values())


def test_a_validation_loss_that_is_not_finite_is_divergence_too(training, run) -> None:
    bad = Metrics(accuracy=0.1, precision=0.0, recall=0.0, f1_score=0.0, loss=float("nan"))
    with pytest.raises(UserError, match="end of epoch 1: the validation loss"):
        run(training(), validate=lambda model: bad)


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs"),
    [
        ([0.5, 0.4, 0.4, 0.9], 2, 3),
        ([0.5, 0.4, 0.6, 0.5, 0.5], 2, 5),  # the second chance began anew at 0.6
        ([0.5, 0.6, 0.7, 0.8], 1, 4),
        ([0.5, 0.4, 0.4, 0.4], None, 4),
    ],
)
def test_patience_counts_the_epochs_since_the_best(training, run, accuracies, patience, epochs) -> None:
    it, scores = training(), iter(accuracies)

    def validate(model) -> Metrics:
        return Metrics(accuracy=next(scores), precision=0.0, recall=0.0, f1_score=0.0, loss=1.0)

    run(it, epochs=len(accuracies), validate=validate, patience=patience)
    assert it.epoch == len(it.rows) == epochs
    assert it.is_over(len(accuracies), patience)


def test_validation_and_best_weights_are_of_the_averaged_weights(training, run) -> None:
    it, seen = training(), []
    it.average = WeightAverage(it.model, decay=0.5)

    def validate(model) -> Metrics:
        seen.append((model[1].weight.detach().clone(), it.average.weights["1.weight"].clone()))
        return Metrics(accuracy=len(seen) / 10, precision=0.0, recall=0.0, f1_score=0.0, loss=1.0)

    run(it, validate=validate)
    assert all(torch.equal(worn, averaged) for worn, averaged in seen)
    assert torch.equal(it.best_weights["1.weight"], seen[-1][1])
    assert not torch.equal(it.model[1].weight, it.average.weights["1.weight"])


def test_scaler_and_average_come_back_with_the_rest(training, run) -> None:
    it, other = training(), training()
    for each in (it, other):
        each.average = WeightAverage(each.model, decay=0.5)
        each.scaler = GradScaler("cpu")
    run(it, epochs=1)
    it.scaler.update(8.0)
    other.restore(it.snapshot())
    assert other.scaler.get_scale() == 8.0
    assert all(torch.equal(other.average.weights[name], value) for name, value in it.average.weights.items())


def test_a_batch_in_parts_steps_as_the_whole_batch(training, run) -> None:
    """Without what looks at several images: here no batch norm and no dropout."""
    whole, in_parts = training(), training()
    for it in (whole, in_parts):
        torch.manual_seed(1)
        it.model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        it.optimizer = sgd(it.model.parameters(), lr=0.1)
    run(whole)
    run(in_parts, accumulate=3)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(in_parts.model.state_dict()[name], value)
    assert in_parts.meter.counts == whole.meter.counts
    for column in ("train_loss", "train_accuracy", "loss_ce"):
        assert [row[column] for row in in_parts.rows] == pytest.approx([row[column] for row in whole.rows], rel=1e-5)
