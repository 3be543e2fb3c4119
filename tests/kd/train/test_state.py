"""Saving and taking back a training; what is counted over several attempts."""

from __future__ import annotations

import time

import torch

from kd.train.state import Stopwatch


def test_a_stopwatch_carries_the_seconds_of_earlier_attempts() -> None:
    watch = Stopwatch()
    watch.restart(100.0)
    time.sleep(0.002)
    assert 100.002 <= watch.seconds < 160


def test_the_best_weights_are_a_copy_that_later_steps_leave_alone(training, run) -> None:
    it = training()
    run(it, epochs=1)
    kept = {name: tensor.clone() for name, tensor in it.best_weights.items()}
    it.model[1].weight.data.zero_()
    assert all(torch.equal(it.best_weights[name], tensor) for name, tensor in kept.items())


def test_right_after_the_best_epoch_the_best_weights_are_saved_as_the_current_ones(training, run) -> None:
    it, other = training(), training()
    run(it, epochs=3)
    it.best_epoch = it.epoch - 1
    saved = it.snapshot()
    assert all(saved["best_weights"][name].data_ptr() == value.data_ptr() for name, value in saved["model"].items())
    other.restore(saved)
    it.model[1].weight.data.zero_()
    assert other.best_weights["1.weight"].abs().sum() > 0, "taken back as a copy"
    it.step = 1
    assert it.snapshot()["best_weights"] is it.best_weights


def test_restoring_counts_the_attempt_and_goes_on_with_the_clock(training, run) -> None:
    it, other = training(), training()
    run(it, epochs=2)
    it.total_watch.restart(50.0)
    other.restore(it.snapshot())
    assert (other.epoch, other.step, other.attempt) == (2, 0, 2)
    assert other.total_watch.seconds >= 50.0
    assert other.rows == it.rows
